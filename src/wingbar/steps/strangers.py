"""The step of strangers: by what a picture of none of the classes is told, from features of the trained net."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar._system.settings import fill
from wingbar.images import Picture, cut_squares
from wingbar.model.field_marks import read_field_marks
from wingbar.model.torch_runtime import TorchRuntime, stream_modules
from wingbar.nets.inference import for_inference
from wingbar.opam.strangers import NO_RULE, StrangerRule, fit_strangers, packed, scatters, unpacked
from wingbar.steps.job import Job
from wingbar.steps.marks import Marks
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.passes import read_through
from wingbar.steps.readout import Readout
from wingbar.steps.store import StepResult

PER_CLASS = 50
"""Training pictures of a class, at most, that say where it lies."""

Read = Callable[[list[Picture]], dict[str, ndarray]]
"""The feature vectors of some pictures, by view, as a prediction finds them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Strangers(StepResult):
    """What a model keeps to tell strangers; empty where pictures are too few to say how far to go by it."""

    scatters: Mapping[str, ndarray]
    """How the classes lie in each view's features: `opam.strangers.packed`."""
    values: Mapping[str, Any]
    """The fields of the rule."""

    @property
    def rule(self) -> StrangerRule | None:
        """When a picture is taken for a stranger."""
        return fill(NO_RULE, dict(self.values), "strangers") if self.values else None


def strangers(
    job: Job,
    trained: TrainedNet,
    inputs: Sequence[StepResult],
    votes: Float[ndarray, "validation classes"],
    reader: Callable[[], Read],
    chosen: Strangers | None,
) -> Strangers:
    """Where the classes lie, and the rule of the validation pictures; a refit keeps the rule that was ``chosen``.

    ``votes`` are the validation pictures' weighted log probabilities; ``reader`` makes what reads features.
    """

    def compute() -> Strangers:
        rule = chosen.rule if chosen else None
        if chosen and rule is None:
            return Strangers(scatters={}, values={})
        read = reader()
        fitted = some_of_each(job.labels, job.training)
        features = _features(job, read, fitted)
        arrays = job.world.first(lambda: packed(scatters(features, job.labels[fitted], len(job.classes))))
        if chosen is None:
            held, labels = _features(job, read, job.validation), job.labels[job.validation]
            rule = job.world.first(lambda: fit_strangers(votes, held, labels, unpacked(arrays)))
        if rule is None:
            return Strangers(scatters={}, values={})
        job.reporter.say(f"  of left-out classes {rule.caught:.0%} of the pictures are taken for strangers")
        return Strangers(scatters=arrays, values=asdict(rule))

    settings = [job.config.prediction_size(), job.config.seed, None if chosen is None else dict(chosen.values)]
    return job.step("strangers", Strangers, settings, [trained, *inputs], compute)


def by_field_marks(job: Job, trained: TrainedNet, readout: Readout, marks: Marks) -> Callable[[], Read]:
    """What makes a reader of object and marks."""

    def reader() -> Read:
        runtime = TorchRuntime(readout.modules(for_inference(net_of(job, trained))), job.hardware.device)
        sizes = job.config.picture_size(), job.config.prediction_size()
        return lambda pictures: read_field_marks(runtime, pictures, *sizes, marks.sides).features

    return reader


def by_whole_pictures(job: Job, trained: TrainedNet) -> Callable[[], Read]:
    """What makes a reader of whole pictures."""

    def reader() -> Read:
        runtime = TorchRuntime(stream_modules({"picture": net_of(job, trained)}), job.hardware.device)
        side = job.config.prediction_size()

        def read(pictures: list[Picture]) -> dict[str, ndarray]:
            return {"picture": runtime.picture(cut_squares(pictures, [None] * len(pictures), side)).features}

        return read

    return reader


def some_of_each(labels: Int[ndarray, "n"], indices: Int[ndarray, "t"]) -> Int[ndarray, "m"]:
    """At most `PER_CLASS` of the ``indices`` of each class, the first ones, ascending."""
    chosen = [indices[labels[indices] == label][:PER_CLASS] for label in np.unique(labels[indices])]
    return np.sort(np.concatenate(chosen))


def _features(job: Job, read: Read, indices: Int[ndarray, "n"]) -> dict[str, ndarray]:
    readings = read_through(job, indices, read)
    return {view: np.concatenate([reading[view] for reading in readings]) for view in (readings or [{}])[0]}
