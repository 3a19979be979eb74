"""The telling parts, under the object and part spatial constraints (OPAM, section III.C.1).

Of a picture's candidates choose the n parts P that maximise

    Delta(P) = Delta_box(P) * Delta_part(P)
    Delta_box(P)  = prod_i f_b(p_i),   f_b(p_i) = 1 if IoU(p_i, b) > threshold else 0
    Delta_part(P) = log(A_U - A_I - A_O) + log(Mean(M over A_U))

A_U: pixels in the union of the parts; A_I: in their intersection; A_O: in the union but outside the object b;
Mean(M over A_U): the mean saliency over the union.

Where we differ: Delta_box is a hard filter (a feasible set with a negative score beats every infeasible one);
the log of nothing is -inf; one part alone has no intersection. When fewer than n candidates pass, the
constraint is loosened step by step. No candidate is left out at random: the result is the optimum over all
pairs, or over all triples of up to a thousand candidates; larger sets are found by a beam search (`_search`).
Saliency is summed in whole 2^-24ths, so that equal sets score equally to the last bit, and ties go to the
candidates that come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32
from numpy import ndarray

from wingbar._system.settings import within
from wingbar.boxes import Box, area, as_box, clip, intersection, rescale
from wingbar.opam._search import best_set
from wingbar.opam._sets import SALIENCY_UNIT
from wingbar.opam.maps import resize_map, working_size

FeasibilityRule = Literal["containment", "iou"]

CONTAINMENT_LADDER = ((0.7, 0.4), (0.7, 0.2), (0.5, 0.1), (0.0, 0.0))
"""(share of the part inside the object, share of the object covered), each more lenient; then: anything."""
IOU_LADDER = (1.0, 0.5, 0.25, 0.0)
"""Factors of the IoU threshold, each more lenient; then: anything."""


@dataclass(frozen=True)
class PartSettings:
    """Which candidates are parts."""

    count: int = 2
    """Parts of a picture."""
    rule: FeasibilityRule = "containment"
    """Which candidates may be parts: the released code's rule or the paper's."""
    iou_threshold: float = 0.4
    """For the paper's rule."""
    object_constraint: bool = True
    """Parts have to lie on the object."""
    part_constraint: bool = True
    """Parts are chosen together, spread over the object; off: the most salient ones."""

    def __post_init__(self) -> None:
        within(self, "parts", count=(1, 6), iou_threshold=(0, 1))


def choose_parts(
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


def select_parts(
    candidates: Int[ndarray, "n 4"],
    object_box: Box,
    saliency: Float[ndarray, "height width"],
    count: int = 2,
    *,
    rule: FeasibilityRule = "containment",
    iou_threshold: float = 0.4,
    object_constraint: bool = True,
    part_constraint: bool = True,
) -> Int[ndarray, "chosen"]:
    """Indices of the best ``count`` candidates, ascending; fewer only when there are fewer candidates.

    Boxes are pixels of ``saliency`` ([0, 1]). Without ``object_constraint`` every candidate is feasible;
    without ``part_constraint`` the most salient feasible candidates are taken, each for itself.
    """
    candidates = clip(np.asarray(candidates, np.int64), saliency.shape[::-1])
    count = min(count, len(candidates))
    if count == 0:
        return np.zeros(0, np.int64)
    if object_constraint:
        feasible = feasible_candidates(candidates, object_box, count, rule, iou_threshold)
    else:
        feasible = np.arange(len(candidates))
    boxes = candidates[feasible]
    table = summed_saliency(saliency)
    if not part_constraint:
        sums = box_sums(table, boxes) / np.maximum(area(boxes), 1)
        return np.sort(feasible[np.argsort(-sums, kind="stable")[:count]])
    target = np.array(object_box, np.int64)
    return np.sort(feasible[best_set(boxes, target, table, count)])


def feasible_candidates(
    candidates: Int[ndarray, "n 4"], object_box: Box, count: int, rule: FeasibilityRule, iou_threshold: float
) -> Int[ndarray, "feasible"]:
    """Indices that pass the strictest step of the rule's ladder which at least ``count`` candidates pass."""
    target = np.array(object_box, np.int64)
    if rule == "iou":
        steps = (passes_iou(candidates, target, factor * iou_threshold) for factor in IOU_LADDER)
    else:
        steps = (passes_containment(candidates, target, *least) for least in CONTAINMENT_LADDER)
    for passing in steps:
        if passing.sum() >= count:
            return np.flatnonzero(passing)
    return np.arange(len(candidates))


def passes_iou(candidates: Int[ndarray, "n 4"], target: Int[ndarray, "4"], threshold: float) -> Bool[ndarray, "n"]:
    """f_b of the paper: IoU with the object above the threshold."""
    inter = intersection(candidates, target[None])[:, 0]
    return inter > threshold * (area(candidates) + area(target[None]) - inter)


def passes_containment(
    candidates: Int[ndarray, "n 4"], target: Int[ndarray, "4"], contained: float, covered: float
) -> Bool[ndarray, "n"]:
    """The released rule: enough of the part is in the object, and enough of the object is covered."""
    inter = intersection(candidates, target[None])[:, 0]
    return (inter > contained * area(candidates)) & (inter > covered * area(target[None]))


def summed_saliency(saliency: Float[ndarray, "height width"]) -> Int[ndarray, "rows columns"]:
    """Summed-area table of the saliency in whole 2^-24ths."""
    table = np.zeros((saliency.shape[0] + 1, saliency.shape[1] + 1), np.int64)
    units = np.round(np.asarray(saliency, np.float64) * SALIENCY_UNIT).astype(np.int64)
    np.cumsum(np.cumsum(units, axis=0), axis=1, out=table[1:, 1:])
    return table


def box_sums(table: Int[ndarray, "rows columns"], boxes: Int[ndarray, "n 4"]) -> Int[ndarray, "n"]:
    """Sum of the table's values over each box."""
    x1, y1, x2, y2 = boxes.T
    return table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]
