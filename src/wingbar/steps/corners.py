"""The step of corners: the object's box of every training picture, read off features, first roughly, then in a crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int32
from numpy import ndarray

from wingbar.boxes import Box, as_box
from wingbar.learning.views import View
from wingbar.nets.middle import middle_layer
from wingbar.nets.outputs import CornerHead, mirror_corners
from wingbar.nets.saliency_head import MapNet
from wingbar.opam.basis import Basis
from wingbar.opam.box_regression import box_from_corners
from wingbar.opam.corners import Regression, box_in_frame, fit_ridge, frame_around, in_frame
from wingbar.opam.localization import vote_box
from wingbar.steps.discriminant import FirstBoxes, guide_net
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet
from wingbar.steps.passes import Passes, read_off
from wingbar.steps.proposals import Proposals
from wingbar.steps.store import StepResult

LAST_KEPT, MIDDLE_KEPT = 64, 32
"""Principal directions of the last map and of the map halfway that corners are read off."""
VOTES = 2
"""How often candidates vote on what the regression tells."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Objects(StepResult):
    """Each training picture's object; of those it was learnt from, as a regression tells it that has not seen it."""

    boxes: Int32[ndarray, "n 4"]
    """In pixels of the original."""
    frames: Int32[ndarray, "n 4"]
    """The crops that they were read off: the rough box with context."""
    taught: Int32[ndarray, "taught"]
    """Indices of the pictures that boxes were learnt from."""
    teachers: Int32[ndarray, "taught 4"]
    """What they were learnt from: the last boxes that candidates voted on."""


@dataclass(frozen=True, eq=False)
class ViewFeatures:
    """Both maps of views and of their mirrors, projected: what corners are learnt from."""

    upright: Float32[ndarray, "n features"]
    mirrored: Float32[ndarray, "n features"]
    bases: tuple[Basis, Basis]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    """Of one projected map of each kind."""

    def fit(self, corners: Float[ndarray, "n 4"], robust: bool = False) -> Regression:
        """A regression of corners in shares of the views; a view and its mirror are seen together or not at all."""
        count = len(corners)
        mirror = mirror_corners(torch.from_numpy(corners)).numpy()
        return fit_ridge(
            np.concatenate([self.upright, self.mirrored]), np.concatenate([corners, mirror]),
            np.tile(np.arange(count), 2), robust,
        )  # fmt: skip

    def head(self, regression: Regression) -> CornerHead:
        """The regression as a layer of a net."""
        weight = torch.from_numpy(regression.weight).float()
        cut = int(np.prod(self.shapes[0]))
        last, last_bias = self.bases[0].unfold(weight[:, :cut].unflatten(1, self.shapes[0]))
        middle, middle_bias = self.bases[1].unfold(weight[:, cut:].unflatten(1, self.shapes[1]))
        return CornerHead(last, middle, torch.from_numpy(regression.bias).float() + last_bias + middle_bias)


def view_features(job: Job, net: MapNet, layer: str | None, views: Sequence[View], size: int) -> ViewFeatures:
    """Projected maps of the views and of their mirrors."""
    passes = Passes.over(job, net, layer, views, size, (LAST_KEPT, MIDDLE_KEPT))
    shapes = tuple(passes.sampled[0].shape[1:]), tuple(passes.sampled[1].shape[1:])
    return ViewFeatures(passes.features(), passes.features(mirrored=True), passes.bases, shapes)


def views_in(job: Job, indices: Int[ndarray, "n"], boxes: Sequence[Box | None]) -> list[View]:
    """The boxes of these pictures as views."""
    return [View(job.samples[i].path, job.samples[i].label, box) for i, box in zip(indices, boxes, strict=True)]


def unseen_corners(
    job: Job,
    net: MapNet,
    layer: str | None,
    head: CornerHead,
    regression: Regression,
    taught: Int[ndarray, "taught"],
    boxes: Sequence[Box | None],
) -> Float[ndarray, "n 4"]:
    """Corners in the ``boxes`` of all training pictures, each told by a fit that has not seen the picture."""
    corners = np.zeros((len(job.samples), 4))
    corners[taught] = regression.out_of_fold[: len(taught)]
    others = np.setdiff1d(np.arange(len(job.samples)), taught)
    views = views_in(job, others, [boxes[i] for i in others])
    corners[others] = np.reshape(read_off(job, net, layer, head, views), (-1, 4))
    return corners


def corners(job: Job, first: FirstBoxes, candidates: Proposals, trained: TrainedNet | None) -> Objects:
    """Every training picture's object, by regressions on the guide's features."""
    size = job.config.prediction_size()

    def compute() -> Objects:
        net = guide_net(job, trained)
        layer = middle_layer(net)
        taught = first.taught
        rough, teachers = _rough(job, net, layer, first, candidates, size)
        frames = [frame_around(as_box(box), job.sizes[i]) for i, box in enumerate(rough)]
        features = view_features(job, net, layer, views_in(job, taught, [frames[i] for i in taught]), size)
        targets = np.array([in_frame(as_box(t), frames[i]) for i, t in zip(taught, teachers, strict=True)])
        regression = features.fit(targets, robust=True)
        corners = unseen_corners(job, net, layer, features.head(regression), regression, taught, frames)
        boxes = [box_in_frame(row, frame, s) for row, frame, s in zip(corners, frames, job.sizes, strict=True)]
        return Objects(
            boxes=np.array(boxes, np.int32), frames=np.array(frames, np.int32), taught=taught, teachers=teachers
        )

    settings = [job.config.net, size, job.config.seed, job.refit]
    inputs = [first, candidates, *([trained] if trained else [])]
    return job.step("corners", Objects, settings, inputs, compute)


def _rough(
    job: Job,
    net: MapNet,
    layer: str | None,
    first: FirstBoxes,
    candidates: Proposals,
    size: int,
) -> tuple[Int32[ndarray, "n 4"], Int32[ndarray, "taught 4"]]:
    """Every picture's box as the whole picture tells it, and the teachers as candidates have voted on them."""
    taught, teachers = first.taught, first.boxes
    features = view_features(job, net, layer, views_in(job, taught, [None] * len(taught)), size)
    sides = np.tile(np.array(job.sizes), 2)
    regression = features.fit(teachers / sides[taught])
    for _ in range(VOTES):
        boxes = [
            box_from_corners(row, job.sizes[i])
            for row, i in zip(regression.out_of_fold[: len(taught)], taught, strict=True)
        ]
        teachers = np.array(
            [vote_box(box, candidates.boxes[i]) for box, i in zip(boxes, taught, strict=True)], np.int32
        )
        regression = features.fit(teachers / sides[taught])
    corners = unseen_corners(job, net, layer, features.head(regression), regression, taught, [None] * len(job.samples))
    rough = [box_from_corners(row, s) for row, s in zip(corners, job.sizes, strict=True)]
    return np.array(rough, np.int32), teachers
