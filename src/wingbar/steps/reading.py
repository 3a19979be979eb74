"""Reading pictures with a net of this run as a prediction will: for the heads and rules that go by its features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from wingbar.images import Picture, cut_squares
from wingbar.model.field_marks import FieldMarksOutput, read_field_marks
from wingbar.model.torch_runtime import TorchRuntime, stream_modules
from wingbar.nets.inference import for_inference
from wingbar.steps.job import Job
from wingbar.steps.marks import Marks
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.passes import read_through
from wingbar.steps.readout import Readout


@dataclass(frozen=True, eq=False)
class Features:
    """The features of some pictures."""

    of_streams: dict[str, Float32[ndarray, "pictures channels"]]
    """What strangers are told by."""
    of_views: Float32[ndarray, "pictures views channels"]
    """What the net's head sees of each view."""
    logits: Float32[ndarray, "pictures classes"]
    """What the net's own head says of the whole pictures."""


Reader = Callable[[list[Picture]], Features]


def features_of(job: Job, read: Reader, indices: Int[ndarray, "n"]) -> Features:
    """The features of these training pictures, of which there may be none."""
    readings = read_through(job, indices, read) or [
        Features({}, np.zeros((0, 0, 0), np.float32), np.zeros((0, 0), np.float32))
    ]
    return Features(
        {name: np.concatenate([reading.of_streams[name] for reading in readings]) for name in readings[0].of_streams},
        np.concatenate([reading.of_views for reading in readings]),
        np.concatenate([reading.logits for reading in readings]),
    )


def field_marks_of(
    job: Job, trained: TrainedNet, readout: Readout, marks: Marks, second: Mapping[str, ndarray] | None
) -> Callable[[list[Picture]], FieldMarksOutput]:
    """A function that reads pictures by field marks with this net; ``second`` as in `Readout.modules`."""
    runtime = TorchRuntime(readout.modules(for_inference(net_of(job, trained)), second), job.hardware.device)
    sizes = job.config.picture_size(), job.config.prediction_size()
    return lambda pictures: read_field_marks(runtime, pictures, *sizes, marks.sides)


def features_by_field_marks(job: Job, trained: TrainedNet, readout: Readout, marks: Marks) -> Callable[[], Reader]:
    """A function that loads the net and gives a `Reader` of whole pictures, objects and marks.

    Where a step's result is kept it is never called.
    """

    def make_reader() -> Reader:
        read = field_marks_of(job, trained, readout, marks, None)

        def features(pictures: list[Picture]) -> Features:
            output = read(pictures)
            return Features(output.features, output.pooled, output.logits["picture"])

        return features

    return make_reader


def features_by_whole_pictures(job: Job, trained: TrainedNet) -> Callable[[], Reader]:
    """The same for whole pictures alone."""

    def make_reader() -> Reader:
        runtime = TorchRuntime(stream_modules({"picture": net_of(job, trained)}), job.hardware.device)
        side = job.config.prediction_size()

        def features(pictures: list[Picture]) -> Features:
            output = runtime.picture(cut_squares(pictures, [None] * len(pictures), side))
            return Features({"picture": output.features}, output.features[:, None], output.logits)

        return features

    return make_reader
