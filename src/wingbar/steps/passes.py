"""Passes of one net over all training pictures, whole: what several steps read their maps and features from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from wingbar.learning.views import View, fixed_loader
from wingbar.model.runtime import PictureOutput
from wingbar.model.torch_runtime import TorchRuntime, stream_modules
from wingbar.nets.middle import both_maps
from wingbar.nets.outputs import BoxHead
from wingbar.nets.saliency_head import MapNet, normalize
from wingbar.opam.principal import Moments
from wingbar.steps.job import Job

AT_ONCE = 16
"""Pictures a batch."""


def drawn(job: Job, indices: Int[ndarray, "n"], count: int) -> Int[ndarray, "m"]:
    """At most ``count`` of the pictures ``indices``, drawn at random, ascending."""
    return np.sort(np.random.default_rng(job.config.seed).permutation(indices)[:count])


def feature_maps(
    job: Job, net: MapNet, size: int, indices: Int[ndarray, "n"], mirrored: bool = False
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Feature maps of whole pictures and, if asked for, of their mirrors, in batches on the CPU: the rank's share."""
    views = [View(job.samples[i].path, job.samples[i].label) for i in indices]
    loader = fixed_loader(views, size, AT_ONCE, job.hardware.workers, job.world)
    for pixels, _, _ in job.reporter.watched(loader, len(loader)):
        batch = normalize(pixels.to(job.hardware.device), net)
        with torch.no_grad():
            upright = net.forward_features(batch).float().cpu()
            yield upright, net.forward_features(batch.flip(3)).float().cpu() if mirrored else upright


def moments(job: Job, net: MapNet, size: int, indices: Int[ndarray, "n"]) -> Moments:
    """Of the features of the pictures ``indices``, added batch by batch in their order on every rank."""
    batches = job.world.stream(Moments.of(maps) for maps, _ in feature_maps(job, net, size, indices))
    return sum(batches, Moments())


def picture_outputs(
    job: Job, net: MapNet, size: int, boxes: BoxHead | None = None, layer: str | None = None
) -> Iterator[PictureOutput]:
    """What prediction would see of every training picture, in batches: the rank's share."""
    runtime = TorchRuntime(stream_modules({"picture": net}, boxes, layer), job.hardware.device)
    views = [View(sample.path, sample.label) for sample in job.samples]
    loader = fixed_loader(views, size, AT_ONCE, job.hardware.workers, job.world)
    for pixels, _, _ in job.reporter.watched(loader, len(loader)):
        yield runtime.picture(pixels.numpy())


def both_feature_maps(
    job: Job,
    net: MapNet,
    layer: str | None,
    views: Sequence[View],
    size: int,
    mirrored: bool = False,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The last map and the map halfway of each view (or of its mirror), in batches on the CPU: the rank's share."""
    loader = fixed_loader(views, size, AT_ONCE, job.hardware.workers, job.world)
    for pixels, _, _ in job.reporter.watched(loader, len(loader)):
        batch = normalize(pixels.to(job.hardware.device), net)
        with torch.no_grad():
            last, middle = both_maps(net, layer, batch.flip(3) if mirrored else batch)
        yield last.float().cpu(), middle.float().cpu()


def sample_of(indices: Int[ndarray, "n"], count: int) -> Int[ndarray, "m"]:
    """At most about ``count`` of the indices, evenly spaced."""
    return indices[:: max(len(indices) // count, 1)]
