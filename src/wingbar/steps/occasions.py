"""The step of occasions: it warns where a random split would flatter, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wingbar.learning.probe import features
from wingbar.learning.views import View
from wingbar.nets import create
from wingbar.opam.occasions import FOLDS, random_and_grouped, sampled
from wingbar.steps.job import Job
from wingbar.steps.store import StepResult

FEW = 0.05
"""Share of the pictures, beside the first of each occasion, below which a random split cannot flatter by much."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Occasions(StepResult):
    """How well frozen features name pictures; None where hardly any were taken together, or no weights are given."""

    random: float | None
    """Share named rightly in random folds."""
    grouped: float | None
    """In folds that part no occasion."""


def occasions(job: Job) -> Occasions:
    """State by how much a random split would flatter, from features of the weights that the training starts from."""
    labels, groups, config = job.labels, job.pictures.groups, job.config

    def compute() -> Occasions:
        some = sampled(labels, groups, config.seed)
        alone = len(np.unique(groups[some]))
        if len(some) < FOLDS or len(some) - alone < FEW * len(some) or config.weights == "none":
            return Occasions(random=None, grouped=None)
        net = job.world.each(lambda: create(config.net, len(job.classes), config.weights)).to(job.hardware.device)
        views = [View(job.samples[place].path, int(labels[place])) for place in some]
        inputs = features(net, views, config.size, job.hardware)
        random, grouped = job.world.first(lambda: random_and_grouped(inputs, labels[some], groups[some], config.seed))
        job.reporter.say(
            f"  frozen features name {random:.1%} of the pictures in random folds, {grouped:.1%} in folds that part no "
            f"occasion: {flattery(random, grouped)}"
        )
        return Occasions(random=random, grouped=grouped)

    return job.step("occasions", Occasions, [config.net, config.weights, config.size, config.seed], [], compute)


def flattery(random: float, grouped: float) -> str:
    """What the difference means, in words."""
    if random <= grouped:
        return "a random split would not flatter"
    return (
        f"a random split would flatter by {100 * (random - grouped):.1f} points. Judge it on occasions that it has not "
        "seen"
    )
