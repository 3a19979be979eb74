"""Where a trained ClassNet looks: saliency, the object's box, its parts. One path for training and prediction.

Boxes are found on a working copy of the picture (short side at most `ProposalSettings.side`) and handed out in
pixels of the original.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int32, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from wingbar.boxes import Box, rescale, with_context
from wingbar.config import PartSettings, ProposalSettings, Rule
from wingbar.images import Picture
from wingbar.learning.loop import Hardware, normalize
from wingbar.nets.neurons import layer_responses
from wingbar.nets.saliency_head import MapNet
from wingbar.opam.alignment import assign_parts, cluster_responses
from wingbar.opam.localization import grow_to_candidate, locate_object
from wingbar.opam.parts import select_parts
from wingbar.opam.proposals import selective_search
from wingbar.opam.saliency import evidence, predicted, resize_map


@dataclass(frozen=True)
class Alignment:
    """The neurons' clusters and how strongly training parts excite each."""

    layer: str
    """Name of ClassNet's penultimate convolution."""
    neurons: Int[ndarray, "neurons"]
    """Cluster of each neuron."""
    mean: Float[ndarray, "clusters"]
    deviation: Float[ndarray, "clusters"]


def working_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) of the copy that boxes are found on: short side at most ``side``, area at most 4 side^2."""
    scale = min(1.0, side / min(size), 2 * side / math.sqrt(size[0] * size[1]))
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def look(
    net: MapNet, squares: UInt8[Tensor, "batch 3 side side"], hardware: Hardware
) -> tuple[Float32[ndarray, "batch h w"], Float32[ndarray, "batch classes"], Float32[ndarray, "batch classes h w"]]:
    """Saliency in [0, 1], logits, and each class's evidence, at the net's resolution, of whole pictures as squares."""
    net.eval()
    with hardware.fabric.autocast():
        maps = evidence(net, normalize(squares.to(hardware.device), net))
    saliency, logits = predicted(maps, net.head.bias.float())
    return saliency.cpu().numpy(), logits.cpu().numpy(), maps.cpu().numpy()


def object_box(
    saliency_map: Float32[ndarray, "h w"],
    size: tuple[int, int],
    side: int,
    rule: Rule,
    candidates: Int32[ndarray, "n 4"],
) -> Box:
    """The object's box by ``rule``, from the map that it names and the picture's candidates."""
    working = resize_map(saliency_map, working_size(size, side))
    box = locate_object(working, size, rule.method, rule.value)
    return grow_to_candidate(box, candidates) if rule.grown else box


def propose(picture: Picture, settings: ProposalSettings) -> Int32[ndarray, "n 4"]:
    """Candidate boxes in pixels of the original, best first."""
    working = working_size(picture.size, settings.side)
    pixels = picture.pixels
    if pixels.shape[:2] != working[::-1]:
        pixels = np.array(Image.fromarray(pixels).resize(working, Image.Resampling.BICUBIC, reducing_gap=2.0))
    found = selective_search(pixels, mode=settings.mode, limit=settings.limit)
    return rescale(found, working, picture.size)


def part_boxes(
    candidates: Int32[ndarray, "n 4"],
    object_box: Box,
    saliency_map: Float32[ndarray, "h w"],
    size: tuple[int, int],
    side: int,
    settings: PartSettings,
) -> Int32[ndarray, "parts 4"]:
    """The telling parts; the object's box itself stands in where there is no candidate."""
    working = working_size(size, side)
    if len(candidates) == 0:
        return np.array([object_box], np.int32)
    target = rescale(np.array([object_box]), size, working)[0]
    chosen = select_parts(
        rescale(candidates, size, working),
        (int(target[0]), int(target[1]), int(target[2]), int(target[3])),
        resize_map(saliency_map, working),
        settings.count,
        rule=settings.rule,
        iou_threshold=settings.iou_threshold,
        object_constraint=settings.object_constraint,
        part_constraint=settings.part_constraint,
    )
    return candidates[chosen]


def part_responses(
    net: MapNet, squares: UInt8[Tensor, "batch 3 side side"], layer: str, hardware: Hardware
) -> Float[ndarray, "batch neurons"]:
    """Mean activation of each neuron of ``layer`` on each part crop."""
    net.eval()
    with hardware.fabric.autocast():
        return layer_responses(net, layer, normalize(squares.to(hardware.device), net)).float().cpu().numpy()


def align(
    responses: Float[ndarray, "parts neurons"], alignment: Alignment, settings: PartSettings
) -> Int[ndarray, "parts"]:
    """The cluster of each part of one picture."""
    answers = cluster_responses(responses, alignment.neurons, settings.clusters, settings.alignment)
    return assign_parts(answers, alignment.mean, alignment.deviation, settings.alignment)


def crop_boxes(boxes: Sequence[Box] | Int[ndarray, "n 4"], size: tuple[int, int], margin: float) -> list[Box]:
    """The boxes to crop for object or parts: with context, nearly square, inside the picture."""
    return [with_context((int(b[0]), int(b[1]), int(b[2]), int(b[3])), size, margin) for b in boxes]


def softmax(logits: Float[ndarray, "*n classes"]) -> Float32[ndarray, "*n classes"]:
    """Probabilities of logits."""
    return torch.from_numpy(np.asarray(logits, np.float32)).softmax(-1).numpy()
