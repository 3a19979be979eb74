"""The step of object maps: a first box of every training picture, from what its features have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Int32
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from wingbar.boxes import as_box
from wingbar.learning.views import View
from wingbar.nets.inference import for_inference
from wingbar.nets.middle import middle_layer
from wingbar.nets.saliency_head import MapNet
from wingbar.opam.discriminant import object_direction
from wingbar.opam.localization import Rule, box_from_map, vote_box
from wingbar.opam.maps import stretch
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet, net_of, new_net, starting_point
from wingbar.steps.passes import Passes, random_subset
from wingbar.steps.proposals import Proposals
from wingbar.steps.store import StepResult

TAUGHT_PICTURES = 2000
"""Training pictures that boxes and marks are learnt from, drawn at random."""
LAST_KEPT, MIDDLE_KEPT = 96, 128
"""Principal directions of the last map and of the map halfway that tell objects from background."""
OTSU = Rule("cam", "otsu", 0.0, False)


@dataclass(frozen=True, kw_only=True, eq=False)
class FirstBoxes(StepResult):
    """The object as maps and candidates tell it, of the training pictures that boxes are learnt from."""

    taught: Int32[ndarray, "taught"]
    """Indices of these pictures."""
    boxes: Int32[ndarray, "taught 4"]
    """In pixels of the original."""


def guide_net(job: Job, trained: TrainedNet | None) -> MapNet:
    """The net whose features tell objects and marks before any net has learnt from them, folded for inference.

    The starting weights; of a net without any, the one that was ``trained`` on whole pictures.
    """
    net = net_of(job, trained) if trained else job.world.each(lambda: new_net(job, job.config.weights))
    return for_inference(net).to(job.hardware.device).to(memory_format=torch.channels_last)


def taught_pictures(job: Job) -> Int[ndarray, "taught"]:
    """Indices of the training pictures that boxes and marks are learnt from, ascending."""
    return random_subset(job, job.training, TAUGHT_PICTURES)


def concatenated(
    last: Float[Tensor, "n channels h w"], middle: Float[Tensor, "n fewer h2 w2"]
) -> Float[Tensor, "n features h2 w2"]:
    """Both projected maps of some pictures as one: what is seen in the last one, at the places of the map halfway."""
    return torch.cat([functional.interpolate(last, middle.shape[2:], mode="bilinear"), middle], 1)


def discriminant(job: Job, candidates: Proposals, trained: TrainedNet | None) -> FirstBoxes:
    """Boxes of the regions that the discriminant's map tells, voted on by the candidates."""
    config = job.config
    size = config.locating_size()

    def compute() -> FirstBoxes:
        net = guide_net(job, trained)
        taught = taught_pictures(job)
        whole = [View(job.samples[i].path, job.samples[i].label) for i in taught]
        passes = Passes.over(job, net, middle_layer(net), whole, size, (LAST_KEPT, MIDDLE_KEPT))
        direction = object_direction(concatenated(*passes.sampled))
        projected = passes.read(lambda *maps: torch.einsum("bchw,c->bhw", concatenated(*maps), direction).numpy())
        maps, side = stretch(projected), config.proposals.side
        none = np.zeros((0, 4), np.int32)

        def boxed(place: int) -> ndarray:
            index = int(taught[place])
            box = box_from_map(maps[place], job.sizes[index], side, OTSU, none)
            return np.array(vote_box(as_box(box), candidates.boxes[index]), np.int32)

        boxes = job.world.map(boxed, range(len(taught)), job.reporter.watched)
        return FirstBoxes(taught=taught.astype(np.int32), boxes=np.stack(boxes))

    settings = [config.net, starting_point(config), size, config.seed, config.proposals.side, job.refit]
    return job.step("discriminant", FirstBoxes, settings, [candidates, *([trained] if trained else [])], compute)
