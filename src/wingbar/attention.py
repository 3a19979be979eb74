"""Where a trained ClassNet looks: saliency, the object's box, its parts. One path for training and prediction.

Arrays in, arrays out: nets run behind `wingbar.runtime`. Boxes are found on a working copy of the picture (short side
at most `ProposalSettings.side`) and handed out in pixels of the original.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Int32, UInt8
from numpy import ndarray
from PIL import Image

from wingbar.boxes import Box, as_box, rescale, with_context
from wingbar.config import PartSettings, ProposalSettings, Rule
from wingbar.images import Picture, crop_square
from wingbar.maps import pool_boxes, resize_map
from wingbar.opam.alignment import assign_parts, cluster_responses
from wingbar.opam.localization import grow_to_candidate, locate_object
from wingbar.opam.parts import select_parts
from wingbar.opam.proposals import selective_search

LEAST_SIDE = 0.1
"""An object's box that was read off features has at least this share of the picture's sides."""


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


def squares(pictures: Sequence[Picture], boxes: Sequence[Box | None], side: int) -> UInt8[ndarray, "n 3 {side} {side}"]:
    """What nets are shown: each box of its picture (None: the whole), resized."""
    cut = [np.asarray(crop_square(p, box, side)) for p, box in zip(pictures, boxes, strict=True)]
    return np.stack(cut).transpose(0, 3, 1, 2)


def box_from_map(
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


def box_from_corners(corners: Float[ndarray, "4"], size: tuple[int, int]) -> Box:
    """The object's box in pixels from corners in shares, inside the picture and not without area."""
    x1, x2 = _interval(float(corners[0]), float(corners[2]), size[0])
    y1, y2 = _interval(float(corners[1]), float(corners[3]), size[1])
    return (x1, y1, x2, y2)


def _interval(start: float, stop: float, length: int) -> tuple[int, int]:
    middle, half = (start + stop) / 2, max((stop - start) / 2, LEAST_SIDE / 2)
    start, stop = min(max(middle - half, 0.0), 1 - LEAST_SIDE), max(min(middle + half, 1.0), LEAST_SIDE)
    first = min(round(start * length), length - 1)
    return first, min(max(round(stop * length), first + 1), length)


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
    target = as_box(rescale(np.array([object_box]), size, working)[0])
    chosen = select_parts(
        rescale(candidates, size, working),
        target,
        resize_map(saliency_map, working),
        settings.count,
        rule=settings.rule,
        iou_threshold=settings.iou_threshold,
        object_constraint=settings.object_constraint,
        part_constraint=settings.part_constraint,
    )
    return candidates[chosen]


def align(
    neurons_map: Float[ndarray, "neurons h w"],
    boxes: Int[ndarray, "parts 4"],
    size: tuple[int, int],
    alignment: Alignment,
    settings: PartSettings,
) -> Int[ndarray, "parts"]:
    """The cluster of each part of one picture, by the neurons' responses within it."""
    pooled = pool_boxes(neurons_map, boxes, size)
    answers = cluster_responses(pooled, alignment.neurons, settings.clusters, settings.alignment)
    return assign_parts(answers, alignment.mean, alignment.deviation, settings.alignment)


def crop_boxes(boxes: Sequence[Box] | Int[ndarray, "n 4"], size: tuple[int, int], margin: float) -> list[Box]:
    """The boxes to crop for object or parts: with context, nearly square, inside the picture."""
    return [with_context(as_box(box), size, margin) for box in boxes]


def own_heads(
    logits: Float[ndarray, "n outputs"], clusters: Int[ndarray, "n"], classes: int
) -> Float[ndarray, "n classes"]:
    """Each part's logits from the head of its own cluster, where there is more than one head."""
    return logits.reshape(len(logits), -1, classes)[np.arange(len(logits)), clusters * (logits.shape[1] > classes)]


def softmax(logits: Float[ndarray, "*n classes"]) -> Float32[ndarray, "*n classes"]:
    """Probabilities of logits."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)
