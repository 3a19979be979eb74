"""The step of box regression: a linear function of ClassNet's features that predicts the object's box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int32
from numpy import ndarray

from wingbar.boxes import as_box
from wingbar.nets.outputs import BoxHead, mirror_corners
from wingbar.nets.saliency_head import MapNet
from wingbar.opam.box_regression import box_from_corners, fit_corners
from wingbar.opam.localization import vote_box
from wingbar.steps.job import Job
from wingbar.steps.localization import MapBoxes
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.passes import feature_maps, moments, picture_outputs, random_subset
from wingbar.steps.proposals import Proposals
from wingbar.steps.store import StepResult

BOX_PICTURES = 2000
"""Pictures that boxes are learnt from, drawn at random."""
BOX_COMPONENTS, BOX_NUMBERS = 64, 8192
"""Principal directions of the features that boxes are learnt from, and numbers a picture, at most."""
BASIS_PICTURES = 200
"""About how many pictures these directions are computed from."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectBoxes(StepResult):
    """The object's box in each training picture, and the regression that predicts it."""

    boxes: Int32[ndarray, "n 4"]
    """In pixels of the original."""
    weight: Float32[ndarray, "4 channels h w"] | None = None
    """Of the regression; None where the boxes cut from maps are used as they are."""
    bias: Float32[ndarray, "4"] | None = None


def box_regression(job: Job, classnet: TrainedNet, cut: MapBoxes, candidates: Proposals) -> ObjectBoxes:
    """Each picture's object box as ClassNet's features tell it, learnt from the boxes that candidates vote ``cut`` to.

    Where nothing is to be learnt (`LocalizationSettings.learn`), the boxes ``cut`` from maps themselves.
    """
    config = job.config

    def compute() -> ObjectBoxes:
        if not config.localization.learn:
            return ObjectBoxes(boxes=cut.boxes)
        net, size = net_of(job, classnet), config.prediction_size()
        head = learn_boxes(job, net, size, cut, candidates)
        batches = job.world.collect(lambda: (o.corners for o in picture_outputs(job, net, size, head)))
        corners = np.concatenate(batches)
        boxes = [box_from_corners(row, size) for row, size in zip(corners, job.sizes, strict=True)]
        return ObjectBoxes(
            boxes=np.array(boxes, np.int32), weight=head.weight.cpu().numpy(), bias=head.bias.cpu().numpy()
        )

    settings = [config.localization.learn, config.prediction_size(), config.seed]
    return job.step("box-regression", ObjectBoxes, settings, [classnet, cut, candidates], compute)


def learn_boxes(job: Job, net: MapNet, size: int, cut: MapBoxes, candidates: Proposals) -> BoxHead:
    """The regression, fitted on training pictures: boxes of held-out ones must be as good as those of new ones."""
    used = random_subset(job, job.training, BOX_PICTURES)
    some = used[:: max(len(used) // BASIS_PICTURES, 1)]
    basis = moments(job, net, size, some)
    places = basis.count // len(some)
    directions = basis.directions(min(BOX_COMPONENTS, max(BOX_NUMBERS // places, 1))).float()
    batches = job.world.collect(
        lambda: (
            [torch.einsum("bchw,kc->bkhw", features, directions).numpy() for features in both]
            for both in feature_maps(job, net, size, used, mirrored=True)
        )
    )
    upright, mirrored = (np.concatenate(maps) for maps in zip(*batches, strict=True))
    voted = np.array([vote_box(as_box(cut.boxes[i]), candidates.boxes[i]) for i in used])
    corners = voted / np.tile(job.sizes, 2)[used]
    weight, bias = fit_corners(upright, mirrored, corners, mirror_corners(torch.from_numpy(corners)).numpy())
    return BoxHead(torch.einsum("vkhw,kc->vchw", torch.from_numpy(weight), directions), torch.from_numpy(bias))
