"""The step of field marks: where each training picture shows the places that all have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int32
from numpy import ndarray

from wingbar.boxes import Box, as_box, crop_boxes
from wingbar.nets.middle import middle_layer
from wingbar.nets.outputs import MarkHead
from wingbar.nets.saliency_head import MapNet
from wingbar.opam.basis import Basis
from wingbar.opam.corners import fit_ridge
from wingbar.opam.discriminant import object_direction
from wingbar.opam.localization import otsu
from wingbar.opam.maps import unit
from wingbar.opam.marks import (
    SHORT,
    Windows,
    choose_marks,
    detectors,
    locate_again,
    mark_boxes,
    memberships,
    peaks,
    same_places,
    spherical_kmeans,
)
from wingbar.steps.corners import Objects, views_in
from wingbar.steps.discriminant import guide_net
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet
from wingbar.steps.passes import Passes, both_feature_maps, read_off
from wingbar.steps.store import StepResult

LAST_KEPT, MIDDLE_KEPT = 32, 128
"""Principal directions of the last map and of the map halfway that marks are told by."""
FINE = 0.2
"""Side of the windows whose features are grouped, as a share of the root of the object's area."""
CHOICE_STRENGTH = 0.3
"""Of the ridge that tells what marks are worth, in units of the features' whole variance."""
GROUPED = 60_000
"""Windows that groups are found from, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Marks(StepResult):
    """The field marks of every training picture, always in the same order."""

    boxes: Int32[ndarray, "n marks 4"]
    """In pixels of the original."""
    sides: list[float]
    """Side of each mark's square, as a share of the root of the object's area."""
    places: Int[ndarray, "taught marks 2"]
    """Row and column of each mark's window, of the pictures that marks were learnt from."""


@dataclass(frozen=True, eq=False)
class WindowFeatures:
    """Mean features of each picture's windows: of both maps, projected, each kind scaled to equal variance."""

    values: Float32[ndarray, "n rows columns features"]
    last: Basis
    middle: Basis

    def head(self, weights: Float32[ndarray, "marks features"]) -> MarkHead:
        """Detectors of such features as a layer of a net."""
        coarse, fine = torch.from_numpy(weights).split([len(self.last.directions), len(self.middle.directions)], 1)
        last = coarse @ self.last.directions / self.last.scale
        middle = fine @ self.middle.directions / self.middle.scale
        return MarkHead(last, middle)


def marks(job: Job, objects: Objects, trained: TrainedNet | None) -> Marks:
    """Marks of every training picture, by the guide's features of the crops around the objects."""
    config, settings = job.config, job.config.marks
    size, taught = config.prediction_size(), objects.taught

    def compute() -> Marks:
        net = guide_net(job, trained)
        layer = middle_layer(net)
        if layer is None:
            job.reporter.say(f"  {config.net} has no finer map than its last: marks are found on that alone")
        maps = CropMaps.of(job, net, layer, objects, taught, size)
        groups = belonging(job, objects, maps)
        tried = [mark for side in settings.sides for mark in located(job, objects, maps, groups, side)]
        kept = chosen_marks(job, net, objects, tried)
        sides, head = [mark.side for mark in kept], MarkHead.joined([mark.head for mark in kept])
        boxes = np.zeros((len(job.samples), len(kept), 4), np.int32)
        boxes[taught] = np.stack([mark.boxes for mark in kept], 1)
        others = np.setdiff1d(np.arange(len(job.samples)), taught)
        boxes[others] = marked(job, net, layer, head, sides, objects, others)
        return Marks(boxes=boxes, sides=sides, places=np.stack([mark.places for mark in kept], 1))

    kept_by = [config.net, size, config.seed, dataclasses.asdict(settings), job.refit]
    return job.step("marks", Marks, kept_by, [objects, *([trained] if trained else [])], compute)


@dataclass(frozen=True, eq=False)
class Mark:
    """A place of the object in the pictures that marks are learnt from, and what tells it."""

    side: float
    places: Int[ndarray, "n 2"]
    boxes: Int32[ndarray, "n 4"]
    head: MarkHead


def located(
    job: Job, objects: Objects, maps: CropMaps, groups: Float32[ndarray, "n rows columns groups"], side: float
) -> list[Mark]:
    """The marks of all ``groups``, by windows of one ``side``."""
    windows = maps.windows(job, objects, side)
    places = first_places(job, objects, maps, groups, side)
    places = job.world.first(lambda: locate_again(windows.values, places, job.config.seed))
    weights = detectors(windows.values, places)
    return [
        Mark(
            side,
            places[:, group],
            window_boxes(job, objects, maps.indices, places[:, group], side),
            windows.head(weights[group : group + 1]),
        )
        for group in range(places.shape[1])
    ]


def chosen_marks(job: Job, net: MapNet, objects: Objects, tried: Sequence[Mark]) -> list[Mark]:
    """Those of the marks tried that tell most, together with the whole picture and the object."""
    taught, size = objects.taught, job.config.prediction_size()
    labels = job.labels[taught]
    targets = np.eye(len(job.classes))[labels]

    def scores(boxes: Sequence[Box | None]) -> Float[ndarray, "n classes"]:
        views = views_in(job, taught, boxes)
        batches = job.world.collect(
            lambda: (last.mean((2, 3)).numpy() for last, _ in both_feature_maps(job, net, None, views, size))
        )
        features = np.concatenate(batches).astype(np.float64)
        standard = (features - features.mean(0)) / (features.std(0) + 1e-6)
        return job.world.first(
            lambda: fit_ridge(standard, targets, np.arange(len(taught)), strength=CHOICE_STRENGTH).out_of_fold
        )

    tight = crops_of(job, taught, objects.boxes[taught])
    given = np.stack([scores([None] * len(taught)), scores(tight)])
    by_mark = np.stack([scores(crops_of(job, taught, mark.boxes)) for mark in tried])
    same = same_places(np.stack([mark.boxes for mark in tried]))
    kept = choose_marks(given, by_mark, labels, same, job.config.marks.most)
    alone = (given.sum(0).argmax(1) == labels).mean()
    together = (np.concatenate([given, by_mark[kept]]).sum(0).argmax(1) == labels).mean()
    job.reporter.say(
        f"  {len(kept)} marks of {len(tried)} tried, sides {', '.join(f'{tried[k].side:g}' for k in kept)}: "
        f"frozen features name {together:.1%} of unseen pictures with them, {alone:.1%} without"
    )
    return [tried[k] for k in kept]


def crops_of(job: Job, indices: Int[ndarray, "n"], boxes: Int32[ndarray, "n 4"]) -> list[Box | None]:
    """One box a picture as it is shown to a net."""
    return [crop_boxes(box[None], job.sizes[i], 0.0)[0] for i, box in zip(indices, boxes, strict=True)]


@dataclass(frozen=True, eq=False)
class CropMaps:
    """Both maps of the crops around some training pictures' objects, projected."""

    indices: Int[ndarray, "n"]
    last: Float32[ndarray, "n kept h w"]
    middle: Float32[ndarray, "n kept_too h2 w2"]
    bases: tuple[Basis, Basis]

    @staticmethod
    def of(
        job: Job, net: MapNet, layer: str | None, objects: Objects, indices: Int[ndarray, "n"], size: int
    ) -> CropMaps:
        """One pass over the crops."""
        views = views_in(job, indices, [as_box(objects.frames[i]) for i in indices])
        passes = Passes.over(job, net, layer, views, size, (LAST_KEPT, MIDDLE_KEPT))
        return CropMaps(indices, *passes.maps(), passes.bases)

    def windows(self, job: Job, objects: Objects, side: float) -> WindowFeatures:
        """Mean features of each picture's windows of this ``side``."""

        def one(place: int) -> ndarray:
            index = int(self.indices[place])
            frame, grid = objects.frames[index].tolist(), Windows.over(as_box(objects.boxes[index]), side)
            return np.concatenate([grid.means(self.last[place], frame), grid.means(self.middle[place], frame)], -1)

        values = np.stack(job.world.map(one, range(len(self.indices)), job.reporter.watched))
        cut = self.last.shape[1]
        parts = np.split(values.reshape(-1, values.shape[-1]), [cut], 1)
        scales = [float(np.sqrt(part.var(0).sum())) or 1.0 for part in parts]
        values /= np.repeat(scales, [cut, values.shape[-1] - cut]).astype(np.float32)
        last, middle = (
            dataclasses.replace(basis, scale=basis.scale * scale)
            for basis, scale in zip(self.bases, scales, strict=True)
        )
        return WindowFeatures(values, last, middle)

    def inside(self, job: Job, objects: Objects) -> ndarray:
        """Which fine windows of each picture lie on the object, by Otsu's threshold of the discriminant's map."""
        last = torch.from_numpy(self.last)
        direction = object_direction(last, edge=0, rounds=1)  # the crops' middle is object, their edge background
        foreground = torch.einsum("nchw,c->nhw", last, direction).numpy()

        def one(place: int) -> ndarray:
            index = int(self.indices[place])
            grid = Windows.over(as_box(objects.boxes[index]), FINE)
            means = grid.means(foreground[place][None], objects.frames[index].tolist())[..., 0]
            return means > otsu(means)

        return np.stack(job.world.map(one, range(len(self.indices)), job.reporter.watched))


def belonging(job: Job, objects: Objects, maps: CropMaps) -> Float32[ndarray, "n rows columns groups"]:
    """How much each place of each object belongs to each group of alike places; places beside it to none."""
    fine, inside = maps.windows(job, objects, FINE), maps.inside(job, objects)
    if not inside.any():
        inside = np.ones_like(inside)
    values = fine.values[..., len(fine.last.directions) :]  # the finer map alone: the other one blurs the groups
    vectors = unit(values - values[inside].mean(0), SHORT)
    some = vectors[inside]
    some = some[:: max(len(some) // GROUPED, 1)]
    middles = job.world.first(lambda: spherical_kmeans(some, job.config.marks.groups, job.config.seed))
    return np.where(inside[..., None], memberships(vectors, middles), np.float32(0))


def first_places(
    job: Job, objects: Objects, maps: CropMaps, groups: Float32[ndarray, "n rows columns groups"], side: float
) -> Int[ndarray, "n groups 2"]:
    """For each group the window of each picture that holds most of it."""

    def one(place: int) -> ndarray:
        box = as_box(objects.boxes[maps.indices[place]])
        held = Windows.over(box, side).means(groups[place].transpose(2, 0, 1), box)
        return peaks(held.transpose(2, 0, 1))

    return np.stack(job.world.map(one, range(len(maps.indices)), job.reporter.watched))


def window_boxes(
    job: Job, objects: Objects, indices: Int[ndarray, "n"], places: Int[ndarray, "n 2"], side: float
) -> Int32[ndarray, "n 4"]:
    """The windows of one ``side`` at these places of each picture's grid."""
    rows = [
        Windows.over(as_box(objects.boxes[i]), side).box(int(row), int(column), job.sizes[i])
        for i, (row, column) in zip(indices, places, strict=True)
    ]
    return np.array(rows, np.int32).reshape(-1, 4)


def marked(
    job: Job,
    net: MapNet,
    layer: str | None,
    head: MarkHead,
    sides: Sequence[float],
    objects: Objects,
    indices: Int[ndarray, "n"],
) -> Int32[ndarray, "n marks 4"]:
    """Where marks lie in pictures that they were not learnt from, as a prediction finds them."""
    views = views_in(job, indices, [as_box(objects.frames[i]) for i in indices])
    boxes = [
        mark_boxes(as_box(objects.boxes[i]), maps, objects.frames[i].tolist(), job.sizes[i], sides)
        for i, maps in zip(indices, read_off(job, net, layer, head, views), strict=True)
    ]
    return np.array(boxes, np.int32).reshape(-1, len(sides), 4)
