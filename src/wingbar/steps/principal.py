"""The step of principal maps: what all training pictures have in common, and where it lies in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from wingbar.opam.maps import stretch
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet, net_of, new_net, starting_point
from wingbar.steps.passes import moments, picture_outputs, random_subset
from wingbar.steps.store import StepResult

PRINCIPAL_PICTURES = 600
"""Pictures that the principal direction is computed from, drawn at random."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PrincipalMaps(StepResult):
    """Every training picture's map along the principal direction."""

    maps: Float32[ndarray, "n h w"] | None
    """In [0, 1]; None where no rule asks for them."""


def principal(job: Job, classnet: TrainedNet) -> PrincipalMaps:
    """Every training picture's map along the principal direction of the starting weights' features.

    Without starting weights ClassNet's own features are used.
    """
    config, wanted = job.config, "principal" in job.config.localization.sources()
    untrained = config.weights == "none"

    def compute() -> PrincipalMaps:
        if not wanted:
            return PrincipalMaps(maps=None)
        net = net_of(job, classnet) if untrained else job.world.each(lambda: new_net(job, config.weights))
        net.to(job.hardware.device).to(memory_format=torch.channels_last)
        net.eval()
        size = config.locating_size()
        some = random_subset(job, np.arange(len(job.samples)), PRINCIPAL_PICTURES)
        direction = moments(job, net, size, some).principal()
        # As the weights of a class of its own, the direction gives its map where a class gives its evidence.
        net.head = torch.nn.Linear(net.num_features, 1)
        net.head.weight.data, net.head.bias.data = direction[None], torch.zeros(1)
        net.to(job.hardware.device)
        batches = job.world.collect(lambda: (stretch(o.evidence[:, 0]) for o in picture_outputs(job, net, size)))
        return PrincipalMaps(maps=np.concatenate(batches))

    # Maps of the starting weights hang on no training, so a refit takes them over.
    where, inputs = (job, [classnet]) if untrained else (job.before_refit(), [])
    settings = [wanted, config.net, starting_point(config), config.locating_size(), config.seed]
    return where.step("principal", PrincipalMaps, settings, inputs, compute)
