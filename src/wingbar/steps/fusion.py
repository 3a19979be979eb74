"""The step of fusion: the weight of each stream in the final score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar.learning.loop import predict_logits
from wingbar.opam.calibration import fit_calibration, softmax
from wingbar.opam.fusion import best_weights, cross_validate, fuse
from wingbar.opam.strangers import votes_of
from wingbar.steps.calibration import Calibrated, weights_line
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.saliency import Saliency
from wingbar.steps.views import Kind, views_of


@dataclass(frozen=True, kw_only=True, eq=False)
class FusionWeights(Calibrated):
    """The fusion weights of the streams, and the scores that they were fitted on."""

    weights: list[float]
    """Of picture, object and parts; they add up to one."""
    held_out_accuracy: float
    """Top-1 of the fused scores on folds that did not choose the weights."""
    scores: Float[ndarray, "streams validation classes"]
    """Probabilities of the validation pictures by each stream."""

    @property
    def votes(self) -> Float[ndarray, "validation classes"]:
        """See `Calibrated.votes`."""
        return votes_of(self.scores, self.weights)


def fusion(
    job: Job, classnet_output: Saliency, kinds: Mapping[str, Kind], objectnet: TrainedNet, partnet: TrainedNet
) -> FusionWeights:
    """Weights of picture, object and parts, by cross-validation on the validation pictures."""

    def compute() -> FusionWeights:
        labels = job.labels[job.validation]
        scores = np.stack(
            [
                softmax(classnet_output.logits[job.validation]),
                _mean_scores(job, objectnet, kinds["object"]),
                _mean_scores(job, partnet, kinds["part"]),
            ]
        )

        def fused(fitted: Int[ndarray, "f"], held: Int[ndarray, "h"]) -> ndarray:
            return fuse(scores[:, held], best_weights(scores[:, fitted], labels[fitted]))

        fit = cross_validate(scores, labels, job.held_groups, seed=job.config.seed)
        calibration = fit_calibration(fused, labels, job.held_groups, job.config.seed)
        listed = weights_line(fit.weights, scores, labels)
        job.reporter.say(f"  weights: {listed}; together {fit.held_out_accuracy:.3f} on held-out folds")
        return FusionWeights(
            weights=list(fit.weights), held_out_accuracy=fit.held_out_accuracy,
            calibration=calibration.temperature, held_out=calibration.held_out, scores=scores, labels=labels,
        )  # fmt: skip

    settings = [job.config.seed, job.config.prediction_size()]
    return job.step("fusion", FusionWeights, settings, [classnet_output, objectnet, partnet], compute)


def _mean_scores(job: Job, trained: TrainedNet, kind: Kind) -> ndarray:
    """Mean probability over each validation picture's views of one kind, each by its own head."""
    views = views_of(job, kind, job.validation)
    logits, _ = predict_logits(net_of(job, trained), views, job.config.prediction_size(), job.hardware)
    cuts = np.cumsum([len(kind[i]) for i in job.validation])[:-1]
    return np.stack([scores.mean(0) for scores in np.split(softmax(logits.numpy()), cuts)])
