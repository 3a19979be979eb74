"""The last step: how far to trust each stream."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy import ndarray

from wingbar.attention import softmax
from wingbar.learning.loop import predict_logits
from wingbar.model import STREAMS
from wingbar.opam.fusion import cross_validate
from wingbar.steps.job import Job, Kind
from wingbar.steps.nets import net_of
from wingbar.steps.views import views_of
from wingbar.store import Result


def fusion(job: Job, maps: Result, kinds: Mapping[str, Kind], objectnet: Result, partnet: Result) -> Result:
    """Weights of picture, object and parts, by cross-validation on the validation pictures."""

    def compute() -> Result:
        labels = job.labels[job.validation]
        picture = softmax(maps.arrays["logits"][job.validation])
        scores = np.stack(
            [
                picture,
                _mean_scores(job, objectnet, kinds["object"]),
                _mean_scores(job, partnet, kinds["part"]),
            ]
        )
        found = cross_validate(scores, labels, seed=job.config.seed)
        alone = (scores.argmax(2) == labels).mean(1)
        told = [
            f"{name} {weight:.2f} (alone {accuracy:.3f})"
            for name, weight, accuracy in zip(STREAMS, found.weights, alone, strict=True)
        ]
        job.reporter.say(f"  weights: {', '.join(told)}; together {found.held_out_accuracy:.3f} on held-out folds")
        info = {"weights": list(found.weights), "held_out_accuracy": found.held_out_accuracy}
        return Result({"scores": scores, "labels": labels}, info)

    settings = [job.config.seed, job.config.looking_size()]
    return job.step("fusion", settings, [maps, objectnet, partnet], compute)


def _mean_scores(job: Job, trained: Result, kind: Kind) -> ndarray:
    """Mean probability over each validation picture's views of one kind, each by its own head."""
    views = views_of(job, kind, job.validation)
    logits, _ = predict_logits(net_of(job, trained), views, job.config.looking_size(), job.hardware)
    cuts = np.cumsum([len(kind[i]) for i in job.validation])[:-1]
    return np.stack([own.mean(0) for own in np.split(softmax(logits.numpy()), cuts)])
