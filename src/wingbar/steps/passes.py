"""Passes of one net over training pictures: what several steps read their maps and features from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Int
from numpy import ndarray
from torch import Tensor

from wingbar.images import Picture
from wingbar.learning.views import FixedBatches, View, batches
from wingbar.model.runtime import PictureOutput
from wingbar.model.torch_runtime import TorchRuntime, stream_modules
from wingbar.nets.middle import both_maps
from wingbar.nets.outputs import BoxHead
from wingbar.nets.saliency_head import MapNet, normalize
from wingbar.opam.basis import Basis
from wingbar.opam.principal import Moments
from wingbar.steps.job import Job

T = TypeVar("T")
AT_ONCE = 16
"""Pictures a batch."""
SAMPLE = 200
"""About how many views principal directions are computed from."""


def random_subset(job: Job, indices: Int[ndarray, "n"], count: int) -> Int[ndarray, "m"]:
    """At most ``count`` of the pictures ``indices``, drawn at random, ascending."""
    return np.sort(np.random.default_rng(job.config.seed).permutation(indices)[:count])


def shown(job: Job, net: MapNet, views: Sequence[View], size: int) -> Iterator[torch.Tensor]:
    """Batches of views as the net is shown them, on its device, in order: the rank's share."""
    loader = FixedBatches(views, size, AT_ONCE, job.hardware)
    for pixels, _, _ in job.reporter.watched(loader, len(loader)):
        yield normalize(pixels.to(job.hardware.device), net)


def read_through(job: Job, indices: Int[ndarray, "n"], read: Callable[[list[Picture]], T]) -> list[T]:
    """What ``read`` says of the pictures ``indices``, decoded as for a prediction: a result a batch, on all ranks."""
    share = job.world.share(batches(len(indices), AT_ONCE))

    def of(places: list[int]) -> T:
        return read([job.hardware.pictures.read(job.samples[indices[place]].path) for place in places])

    return job.world.collect(lambda: job.reporter.watched(map(of, share), len(share)))


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
    loader = FixedBatches(views, size, AT_ONCE, job.hardware)
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


Maps = tuple[Float32[Tensor, "n kept h w"], Float32[Tensor, "n fewer h2 w2"]]
"""The last map and the map halfway of some views, each projected onto principal directions."""


@dataclass(frozen=True, eq=False)
class Passes:
    """One net's passes over some views; its maps are projected onto the principal directions of a sample of them."""

    job: Job
    net: MapNet
    layer: str | None
    views: Sequence[View]
    size: int
    sample: Int[ndarray, "sampled"]
    """Places of the sample among the views."""
    sampled: Maps
    bases: tuple[Basis, Basis]

    @staticmethod
    def over(
        job: Job, net: MapNet, layer: str | None, views: Sequence[View], size: int, kept: tuple[int, int]
    ) -> Passes:
        """Passes over the sample; of each map as many directions are ``kept``."""
        sample = np.arange(len(views))[:: max(len(views) // SAMPLE, 1)]
        batches = job.world.collect(lambda: both_feature_maps(job, net, layer, [views[i] for i in sample], size))
        last, middle = (torch.cat(maps) for maps in zip(*batches, strict=True))
        bases = Basis.of(last, kept[0]), Basis.of(middle, kept[1])
        return Passes(job, net, layer, views, size, sample, (bases[0].project(last), bases[1].project(middle)), bases)

    def read(self, one: Callable[[Tensor, Tensor], ndarray]) -> ndarray:
        """What a function of some views' projected maps says of all views, in order, on all ranks.

        The sample is not passed through the net again.
        """
        others = np.setdiff1d(np.arange(len(self.views)), self.sample)
        rows = np.concatenate([one(*self.sampled), *self._pass(one, [self.views[i] for i in others], False)])
        return rows[np.argsort(np.concatenate([self.sample, others]))]

    def read_mirrored(self, one: Callable[[Tensor, Tensor], ndarray]) -> ndarray:
        """The same of the views' mirrors."""
        return np.concatenate(self._pass(one, self.views, True))

    def features(self, mirrored: bool = False) -> Float32[ndarray, "n features"]:
        """Both maps of every view, or of its mirror, as one vector."""
        read = self.read_mirrored if mirrored else self.read
        return read(lambda last, middle: torch.cat([last.flatten(1), middle.flatten(1)], 1).numpy())

    def maps(self) -> tuple[Float32[ndarray, "n kept h w"], Float32[ndarray, "n fewer h2 w2"]]:
        """Both maps of every view."""
        features, shapes = self.features(), [maps.shape[1:] for maps in self.sampled]
        last, middle = np.split(features, [int(np.prod(shapes[0]))], 1)
        return last.reshape(-1, *shapes[0]), middle.reshape(-1, *shapes[1])

    def _pass(self, one: Callable[[Tensor, Tensor], ndarray], views: Sequence[View], mirrored: bool) -> list[ndarray]:
        last, middle = self.bases
        return self.job.world.collect(
            lambda: (
                one(last.project(a), middle.project(b))
                for a, b in both_feature_maps(self.job, self.net, self.layer, views, self.size, mirrored)
            )
        )


def read_off(job: Job, net: MapNet, layer: str | None, head: torch.nn.Module, views: Sequence[View]) -> list[ndarray]:
    """What a ``head`` of both maps says of each view, in order, on all ranks."""
    size = job.config.prediction_size()
    batches = job.world.collect(
        lambda: (head(last, middle).numpy() for last, middle in both_feature_maps(job, net, layer, views, size))
    )
    return [row for batch in batches for row in batch]
