"""The object's box from a saliency map (OPAM, section III.B): binarise, take the region, box it.

    b = bounding box of the largest connected region of {(x, y) : M(x, y) > t}

The paper says no more than "binarise". Three thresholds are offered, and which is used is chosen on validation
pictures by their labels alone: Otsu's, a fixed fraction of the map's maximum, or a percentile of its values.

A map is coarse and its box blurred; candidates follow outlines. So those that overlap the box vote on where its sides
lie, much as a detector's boxes do (Gidaris and Komodakis, "Object detection via a multi-region and semantic
segmentation-aware CNN model", ICCV 2015, there the mean weighted by class scores). OPAM has no such step.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from scipy import ndimage

from wingbar.boxes import Box, area, as_box, intersection, iou, whole

ThresholdMethod = Literal["otsu", "fraction", "percentile"]


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
    if not mask.any():
        return whole(size)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    sx, sy = size[0] / width, size[1] / height
    x1, y1 = int(columns[0] * sx), int(rows[0] * sy)
    x2, y2 = round((columns[-1] + 1) * sx), round((rows[-1] + 1) * sy)
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
    own = np.array([box], np.int64)
    held = intersection(candidates, own)[:, 0] >= least_held * area(own)[0]
    fitting = np.flatnonzero(held & (area(candidates) <= most_area * area(own)[0]))
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
