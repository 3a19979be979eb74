"""The object's box from a saliency map (OPAM, section III.B): binarise, take the region, box it.

    b = bounding box of the largest connected region of {(x, y) : M(x, y) > t}

The paper says no more than "binarise". Three thresholds are offered, and which is used is chosen on validation
pictures by their labels alone: Otsu's, a fixed fraction of the map's maximum, or a percentile of its values.

A map is coarse and its box blurred; candidates follow outlines. So those that overlap the box vote on where its sides
lie, much as a detector's boxes do (Gidaris and Komodakis, "Object detection via a multi-region and semantic
segmentation-aware CNN model", ICCV 2015, there the mean weighted by class scores). OPAM has no such step.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32
from numpy import ndarray
from scipy import ndimage

from wingbar._system.settings import within
from wingbar.boxes import Box, area, as_box, box_of_mask, intersection, iou, whole
from wingbar.errors import ConfigError
from wingbar.opam.maps import resize_map, working_size

ThresholdMethod = Literal["otsu", "fraction", "percentile"]


@dataclass(frozen=True)
class Rule:
    """How an object's box is found, read from ``MAP THRESHOLD [VALUE] [grown]``."""

    source: str
    """``cam`` or ``principal``: which map."""
    method: ThresholdMethod
    value: float
    grown: bool
    """Whether the box grows to a candidate that holds it."""

    def __str__(self) -> str:
        """The text that `parse` reads."""
        value = [] if self.method == "otsu" else [f"{self.value:g}"]
        return " ".join([self.source, self.method, *value, *(["grown"] if self.grown else [])])

    @staticmethod
    def parse(text: str) -> Rule:
        """``cam otsu``, ``principal fraction 0.5``, ``cam percentile 70 grown``. Raises ConfigError for another."""
        words = text.split()
        grown = words[-1:] == ["grown"]
        match words[: len(words) - grown]:
            case [("cam" | "principal") as source, "otsu"]:
                return Rule(source, "otsu", 0.0, grown)
            case [("cam" | "principal") as source, ("fraction" | "percentile") as method, value]:
                most = 1.0 if method == "fraction" else 100.0
                with suppress(ValueError):
                    if 0 <= float(value) <= most:
                        return Rule(source, method, float(value), grown)
        raise ConfigError(
            f"localization.rules: {text!r} is no rule; write, say, 'cam otsu' or 'principal fraction 0.5'."
        )


@dataclass(frozen=True)
class LocalizationSettings:
    """The object's box."""

    rules: tuple[str, ...] = (
        "principal otsu",
        "principal fraction 0.5",
        "cam otsu",
        "cam fraction 0.3",
        "cam fraction 0.5",
    )
    """Map (cam or principal), threshold (otsu, fraction F or percentile P), and perhaps `grown` (to a candidate
    that holds the region). All are tried on validation pictures; the one whose crops ClassNet names best is used."""
    learn: bool = True
    """Learn from these boxes to read the object's box off ClassNet's features; off: the map's box is the object's."""
    locating_size: int | None = None
    """Side of the squares that the principal map is computed at, in pixels; none: 2.6 times `size`."""
    margin: float = 0.0
    """Context left around the object when it is cropped, as a share of its sides."""

    def __post_init__(self) -> None:
        if not self.rules:
            raise ConfigError("localization.rules is empty; give at least one, say 'cam otsu'.")
        sources = self.sources()  # of every run, so that what is no rule is told
        if not self.learn and sources != {"cam"}:
            raise ConfigError("localization.learn is off, so localization.rules may name 'cam' maps only.")
        within(self, "localization", locating_size=(32, 4096), margin=(0, 2))

    def sources(self) -> set[str]:
        """The maps that the rules ask for. Raises ConfigError for what is no rule."""
        return {Rule.parse(rule).source for rule in self.rules}


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


def locate_object(
    saliency: Float[ndarray, "h w"],
    size: tuple[int, int],
    method: ThresholdMethod = "otsu",
    value: float = 0.5,
) -> Box:
    """Box of the largest connected region above the threshold, for a picture of ``size`` (width, height).

    ``saliency`` may have any resolution of the picture's aspect. ``value`` is the fraction of the
    maximum (0..1) or the percentile (0..100); Otsu's method needs none. The whole picture is returned
    when nothing is above the threshold (a constant map).
    """
    mask = largest_region(saliency > threshold(saliency, method, value))
    region = box_of_mask(mask)
    if region is None:
        return whole(size)
    sx, sy = size[0] / mask.shape[1], size[1] / mask.shape[0]
    x1, y1 = int(region[0] * sx), int(region[1] * sy)
    x2, y2 = round(region[2] * sx), round(region[3] * sy)
    return (x1, y1, min(max(x2, x1 + 1), size[0]), min(max(y2, y1 + 1), size[1]))


def threshold(saliency: Float[ndarray, "h w"], method: ThresholdMethod, value: float = 0.5) -> float:
    """The grey value that the object lies above."""
    if method == "otsu":
        return otsu(saliency)
    if method == "fraction":
        return float(value * saliency.max(initial=0.0))
    return float(np.percentile(saliency, value))


def otsu(saliency: Float[ndarray, "h w"], bins: int = 256) -> float:
    """Otsu's threshold (IEEE SMC 1979): the cut of the histogram with the most variance between sides."""
    low, high = float(saliency.min()), float(saliency.max())
    if low == high:
        return high
    counts, edges = np.histogram(saliency, bins=bins, range=(low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centres) / np.maximum(below, 1)
    mean_above = (np.cumsum((counts * centres)[::-1]) / np.maximum(above[::-1], 1))[::-1]
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2.0
    return float(centres[int(np.argmax(between))])


def largest_region(mask: Bool[ndarray, "h w"]) -> Bool[ndarray, "h w"]:
    """The 8-connected region with the most pixels; the first in reading order among equals."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3), int))
    if count == 0:
        return mask
    return labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))


def grow_to_candidate(
    box: Box, candidates: Int[ndarray, "n 4"], least_held: float = 0.6, most_area: float = 2.0
) -> Box:
    """The first candidate that holds most of ``box`` without being much larger; ``box`` where none does.

    Maps of nets without pretrained weights show the marks that tell classes apart rather than the object;
    candidates, best first, follow its outline. The two numbers were chosen on drawn training birds.
    """
    target = np.array([box], np.int64)
    held = intersection(candidates, target)[:, 0] >= least_held * area(target)[0]
    fitting = np.flatnonzero(held & (area(candidates) <= most_area * area(target)[0]))
    if len(fitting) == 0:
        return box
    return as_box(candidates[fitting[0]])


def vote_box(box: Box, candidates: Int[ndarray, "n 4"], least_iou: float = 0.5) -> Box:
    """The weighted median of the candidates' corners; ``box`` itself where no candidate overlaps it enough.

    A candidate's weight is what its IoU with ``box`` exceeds ``least_iou`` by. The median, unlike the mean, stays on an
    outline that many candidates share.
    """
    weights = np.maximum(iou(candidates, np.array([box]))[:, 0] - least_iou, 0)
    if weights.sum() == 0:
        return box
    order = np.argsort(candidates, axis=0, kind="stable")
    reached = np.cumsum(weights[order], axis=0)
    middle = np.argmax(reached >= reached[-1] / 2, axis=0)
    return as_box(candidates[order[middle, range(4)], range(4)])
