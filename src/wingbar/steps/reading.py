"""Reading pictures with a net of this run as a prediction will: for the heads and rules that go by its features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float32
from numpy import ndarray

from wingbar.images import Picture, cut_squares
from wingbar.model.field_marks import FieldMarksOutput, read_field_marks
from wingbar.model.torch_runtime import TorchRuntime, stream_modules
from wingbar.nets.inference import for_inference
from wingbar.steps.job import Job
from wingbar.steps.marks import Marks
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.readout import Readout


@dataclass(frozen=True, eq=False)
class Features:
    """The features of some pictures."""

    of_streams: dict[str, Float32[ndarray, "pictures channels"]]
    """What strangers are told by."""
    of_views: Float32[ndarray, "pictures views channels"]
    """What the net's head sees of each view."""


Reader = Callable[[list[Picture]], Features]


def field_marks_of(
    job: Job, trained: TrainedNet, readout: Readout, marks: Marks
) -> Callable[[list[Picture]], FieldMarksOutput]:
    """All that a prediction by field marks asks the net."""
    runtime = TorchRuntime(readout.modules(for_inference(net_of(job, trained))), job.hardware.device)
    sizes = job.config.picture_size(), job.config.prediction_size()
    return lambda pictures: read_field_marks(runtime, pictures, *sizes, marks.sides)


def by_field_marks(job: Job, trained: TrainedNet, readout: Readout, marks: Marks) -> Callable[[], Reader]:
    """What makes a reader of whole pictures, objects and marks; the net is not loaded before."""

    def reader() -> Reader:
        read = field_marks_of(job, trained, readout, marks)

        def features(pictures: list[Picture]) -> Features:
            output = read(pictures)
            return Features(output.features, output.pooled)

        return features

    return reader


def by_whole_pictures(job: Job, trained: TrainedNet) -> Callable[[], Reader]:
    """What makes a reader of whole pictures alone; the net is not loaded before."""

    def reader() -> Reader:
        runtime = TorchRuntime(stream_modules({"picture": net_of(job, trained)}), job.hardware.device)
        side = job.config.prediction_size()

        def features(pictures: list[Picture]) -> Features:
            pooled = runtime.picture(cut_squares(pictures, [None] * len(pictures), side)).features
            return Features({"picture": pooled}, pooled[:, None])

        return features

    return reader
