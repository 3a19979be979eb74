"""The step of pooling: how far to trust each kind of view, from pictures that the net has not learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar.opam.calibration import fit_calibration
from wingbar.opam.pooling import fit_pooling, log_scores, pool
from wingbar.steps.calibration import Calibrated, weights_line
from wingbar.steps.job import Job
from wingbar.steps.joint import Joint
from wingbar.steps.marks import Marks


@dataclass(frozen=True, kw_only=True, eq=False)
class PoolingWeights(Calibrated):
    """Weight and temperature of each stream, and what they were found from."""

    weights: list[float]
    """Of picture, object, parts and joint; they add up to one."""
    temperatures: list[float]
    logits: Float[ndarray, "streams validation classes"]
    """Of the validation pictures."""

    @property
    def votes(self) -> Float[ndarray, "validation classes"]:
        """See `Calibrated.votes`."""
        return np.tensordot(self.weights, log_scores(self.logits, self.temperatures), axes=1)


def pooling(job: Job, marks: Marks, joint: Joint) -> PoolingWeights:
    """Weights and temperatures by what each stream says of the validation pictures.

    The calibration's folds are those of the heads, as in stacking: what heads say of one fold's pictures does not hang
    on the labels of these, but does on those of the other folds.
    """

    def compute() -> PoolingWeights:
        logits, labels = joint.held_logits, job.labels[job.validation]
        views = [1, 1, len(marks.sides), 2 + len(marks.sides)]

        def pooled(fitted: Int[ndarray, "f"], held: Int[ndarray, "h"]) -> ndarray:
            fit = fit_pooling(logits[:, fitted], labels[fitted], views)
            return pool(log_scores(logits[:, held], fit.temperatures), fit.weights)

        fit = job.world.first(lambda: fit_pooling(logits, labels, views))
        calibration = job.world.first(lambda: fit_calibration(pooled, labels, job.held_groups, job.config.seed))
        together = (pool(log_scores(logits, fit.temperatures), fit.weights).argmax(1) == labels).mean()
        job.reporter.say(f"  weights: {weights_line(fit.weights, logits, labels)}; together {together:.3f}")
        return PoolingWeights(
            weights=list(fit.weights), temperatures=list(fit.temperatures), calibration=calibration.temperature,
            held_out=calibration.held_out, logits=logits, labels=labels,
        )  # fmt: skip

    return job.step("pooling", PoolingWeights, [job.config.seed], [marks, joint], compute)
