"""The step of saliency: where ClassNet looks in every training picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from wingbar.opam.saliency import saliency_maps
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.passes import picture_outputs
from wingbar.steps.store import StepResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Saliency(StepResult):
    """ClassNet's answer to every training picture."""

    maps: Float32[ndarray, "n h w"]
    """The class activation map of the predicted class, in [0, 1]."""
    logits: Float32[ndarray, "n classes"]


def saliency(job: Job, classnet: TrainedNet) -> Saliency:
    """For every training picture ClassNet's map of its predicted class, and its logits."""
    size = job.config.prediction_size()

    def compute() -> Saliency:
        net = net_of(job, classnet)
        batches = job.world.collect(
            lambda: ((saliency_maps(o.evidence, o.logits), o.logits) for o in picture_outputs(job, net, size))
        )
        maps, logits = zip(*batches, strict=True)
        return Saliency(maps=np.concatenate(maps), logits=np.concatenate(logits))

    return job.step("saliency", Saliency, [size], [classnet], compute)
