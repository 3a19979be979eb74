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


def shown(job: Job, net: MapNet, views: Sequence[View], size: int) -> Iterator[torch.Tensor]:
    """Batches of views as the net is shown them, on its device, in order: the rank's share."""
    loader = fixed_loader(views, size, AT_ONCE, job.hardware.workers, job.world)
    for pixels, _, _ in job.reporter.watched(loader, len(loader)):
        yield normalize(pixels.to(job.hardware.device), net)


def feature_maps(
    job: Job, net: MapNet, size: int, indices: Int[ndarray, "n"], mirrored: bool = False
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Feature maps of whole pictures and, if asked for, of their mirrors, in batches on the CPU: the rank's share."""
    for batch in shown(job, net, [View(job.samples[i].path, job.samples[i].label) for i in indices], size):
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
    for batch in shown(job, net, views, size):
        with torch.no_grad():
            last, middle = both_maps(net, layer, batch.flip(3) if mirrored else batch)
        yield last.float().cpu(), middle.float().cpu()


def read_off(job: Job, net: MapNet, layer: str | None, head: torch.nn.Module, views: Sequence[View]) -> list[ndarray]:
    """What a ``head`` of both maps says of each view, in order, on all ranks."""
    size = job.config.prediction_size()
    batches = job.world.collect(
        lambda: (head(last, middle).numpy() for last, middle in both_feature_maps(job, net, layer, views, size))
    )
    return [row for batch in batches for row in batch]


def sample_of(indices: Int[ndarray, "n"], count: int) -> Int[ndarray, "m"]:
    """At most about ``count`` of the indices, evenly spaced."""
    return indices[:: max(len(indices) // count, 1)]
