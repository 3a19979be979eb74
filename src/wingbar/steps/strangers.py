"""The step of strangers: by what a picture of none of the classes is told, from features of the trained net."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jaxtyping import Float, Float32, Int
from numpy import ndarray

from wingbar._system.settings import fill
from wingbar.opam.strangers import NO_RULE, StrangerRule, fit_strangers, from_arrays, scatters, to_arrays
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet
from wingbar.steps.reading import Features, features_by_whole_pictures, some_and_held
from wingbar.steps.store import StepResult


@dataclass(frozen=True, eq=False)
class Looks:
    """What pictures of the known classes look like to the net that was trained."""

    scatters: Mapping[str, ndarray]
    """How the classes lie in each stream's features: `opam.strangers.to_arrays`."""
    held: Mapping[str, Float32[ndarray, "validation channels"]]
    """Each stream's features of the validation pictures."""


def looks_of(job: Job, trained: TrainedNet) -> Callable[[], Looks]:
    """A function that reads whole pictures with this net; where a step's result is kept it is never called."""

    def look() -> Looks:
        return looks_at(job, *some_and_held(job, features_by_whole_pictures(job, trained)()))

    return look


def looks_at(job: Job, some: Int[ndarray, "m"], learnt: Features, held: Features) -> Looks:
    """The same of features that have been read: see `steps.reading.some_and_held`."""
    labels, classes = job.labels[some], len(job.classes)
    arrays = job.world.first(lambda: to_arrays(scatters(learnt.of_streams, labels, classes)))
    return Looks(arrays, held.of_streams)


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
    inputs: Sequence[StepResult],
    votes: Float[ndarray, "validation classes"],
    look: Callable[[], Looks],
    chosen: Strangers | None,
) -> Strangers:
    """Where the classes lie, and the rule of the validation pictures; a refit keeps the rule that was ``chosen``.

    ``votes`` are the validation pictures' weighted log probabilities, ``inputs`` what these and the features come from.
    """

    def compute() -> Strangers:
        rule = chosen.rule if chosen else None
        if chosen and rule is None:
            return Strangers(scatters={}, values={})
        looks, labels = look(), job.labels[job.validation]
        if chosen is None:
            classes = from_arrays(looks.scatters)
            rule = job.world.first(lambda: fit_strangers(votes, dict(looks.held), labels, classes))
        if rule is None:
            return Strangers(scatters={}, values={})
        job.reporter.say(f"  of left-out classes {rule.caught:.0%} of the pictures are taken for strangers")
        return Strangers(scatters=looks.scatters, values=asdict(rule))

    settings = [job.config.prediction_size(), job.config.seed, None if chosen is None else dict(chosen.values)]
    return job.step("strangers", Strangers, settings, inputs, compute)
