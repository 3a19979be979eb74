"""The step of strangers: by what a picture of none of the classes is told, from features of the trained net."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar._system.settings import fill
from wingbar.opam.strangers import NO_RULE, StrangerRule, fit_strangers, from_arrays, scatters, to_arrays
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet
from wingbar.steps.reading import Reader, features_of
from wingbar.steps.store import StepResult

PER_CLASS = 50
"""Training pictures of a class, at most, that say where it lies."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Strangers(StepResult):
    """What a model keeps to tell strangers; empty where pictures are too few to say how far to go by it."""

    scatters: Mapping[str, ndarray]
    """How the classes lie in each view's features: `opam.strangers.to_arrays`."""
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
    make_reader: Callable[[], Reader],
    chosen: Strangers | None,
    places: Mapping[str, ndarray] | None = None,
) -> Strangers:
    """Where the classes lie, and the rule of the validation pictures; a refit keeps the rule that was ``chosen``.

    ``votes`` are the validation pictures' weighted log probabilities; ``make_reader`` makes what reads features.
    ``places`` are where the classes lie, where that is known: `opam.strangers.to_arrays`.
    """

    def compute() -> Strangers:
        rule = chosen.rule if chosen else None
        if chosen and rule is None:
            return Strangers(scatters={}, values={})
        read = make_reader()
        arrays = dict(places) if places is not None else _places(job, read)
        if chosen is None:
            held, labels = features_of(job, read, job.validation).of_streams, job.labels[job.validation]
            rule = job.world.first(lambda: fit_strangers(votes, held, labels, from_arrays(arrays)))
        if rule is None:
            return Strangers(scatters={}, values={})
        job.reporter.say(f"  of left-out classes {rule.caught:.0%} of the pictures are taken for strangers")
        return Strangers(scatters=arrays, values=asdict(rule))

    settings = [job.config.prediction_size(), job.config.seed, None if chosen is None else dict(chosen.values)]
    return job.step("strangers", Strangers, settings, [trained, *inputs], compute)


def _places(job: Job, read: Reader) -> dict[str, ndarray]:
    fitted = some_of_each(job.labels, job.training)
    features = features_of(job, read, fitted).of_streams
    return job.world.first(lambda: to_arrays(scatters(features, job.labels[fitted], len(job.classes))))


def some_of_each(labels: Int[ndarray, "n"], indices: Int[ndarray, "t"]) -> Int[ndarray, "m"]:
    """At most `PER_CLASS` of the ``indices`` of each class, the first ones, ascending."""
    chosen = [indices[labels[indices] == label][:PER_CLASS] for label in np.unique(labels[indices])]
    return np.sort(np.concatenate(chosen))
