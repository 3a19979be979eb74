"""Reading pictures with a net of this run as a prediction will: for the heads and rules that go by its features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from wingbar.images import Picture, cut_squares
from wingbar.model.field_marks import read_field_marks
from wingbar.model.torch_runtime import TorchRuntime, stream_modules
from wingbar.nets.inference import for_inference
from wingbar.steps.job import Job
from wingbar.steps.marks import Marks
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.passes import read_through
from wingbar.steps.readout import Readout

PER_CLASS = 50
"""Pictures of a class, at most, that say where it lies; as many again of those held out."""


@dataclass(frozen=True, eq=False)
class Features:
    """The features of some pictures, and what the net's own head says of them."""

    of_streams: dict[str, Float32[ndarray, "pictures channels"]]
    """What strangers are told by."""
    of_views: Float32[ndarray, "pictures views channels"]
    """What the net's head sees of each view."""
    logits: dict[str, Float32[ndarray, "pictures classes"]]
    """By stream."""

    def at(self, places: slice) -> Features:
        """Those of some of the pictures."""
        return Features(
            {name: rows[places] for name, rows in self.of_streams.items()},
            self.of_views[places],
            {name: rows[places] for name, rows in self.logits.items()},
        )


Reader = Callable[[list[Picture]], Features]


def features_of(job: Job, read: Reader, indices: Int[ndarray, "n"]) -> Features:
    """The features of these training pictures, of which there is at least one."""
    readings = read_through(job, indices, read)
    return Features(
        {name: np.concatenate([reading.of_streams[name] for reading in readings]) for name in readings[0].of_streams},
        np.concatenate([reading.of_views for reading in readings]),
        {name: np.concatenate([reading.logits[name] for reading in readings]) for name in readings[0].logits},
    )


def some_and_held(job: Job, read: Reader) -> tuple[Int[ndarray, "m"], Features, Features]:
    """Some pictures that nets learn from, their features, and those of all validation pictures, if there are any."""
    some = some_of_each(job.labels, job.training)
    features = features_of(job, read, np.concatenate([some, job.validation]))
    return some, features.at(slice(len(some))), features.at(slice(len(some), None))


def some_of_each(labels: Int[ndarray, "n"], indices: Int[ndarray, "t"]) -> Int[ndarray, "m"]:
    """At most `PER_CLASS` of the ``indices`` of each class, the first ones, ascending."""
    chosen = [indices[labels[indices] == label][:PER_CLASS] for label in np.unique(labels[indices])]
    return np.sort(np.concatenate([indices[:0], *chosen]))


def features_by_field_marks(job: Job, trained: TrainedNet, readout: Readout, marks: Marks) -> Callable[[], Reader]:
    """A function that loads the net and gives a `Reader` of whole pictures, objects and marks.

    Where a step's result is kept it is never called.
    """

    def make_reader() -> Reader:
        runtime = TorchRuntime(readout.modules(for_inference(net_of(job, trained))), job.hardware.device)
        sizes = job.config.picture_size(), job.config.prediction_size()

        def features(pictures: list[Picture]) -> Features:
            output = read_field_marks(runtime, pictures, *sizes, marks.sides)
            return Features(output.features, output.pooled, output.logits)

        return features

    return make_reader


def features_by_whole_pictures(job: Job, trained: TrainedNet) -> Callable[[], Reader]:
    """The same for whole pictures alone."""

    def make_reader() -> Reader:
        runtime = TorchRuntime(stream_modules({"picture": net_of(job, trained)}), job.hardware.device)
        side = job.config.prediction_size()

        def features(pictures: list[Picture]) -> Features:
            output = runtime.picture(cut_squares(pictures, [None] * len(pictures), side))
            return Features({"picture": output.features}, output.features[:, None], {"picture": output.logits})

        return features

    return make_reader
