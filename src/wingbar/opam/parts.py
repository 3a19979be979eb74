"""The telling parts, under the object and part spatial constraints (OPAM, section III.C.1).

Of a picture's candidates choose the n parts P that maximise

    Delta(P) = Delta_box(P) * Delta_part(P)
    Delta_box(P)  = prod_i f_b(p_i),   f_b(p_i) = 1 if IoU(p_i, b) > threshold else 0
    Delta_part(P) = log(A_U - A_I - A_O) + log(Mean(M over A_U))

A_U: pixels in the union of the parts; A_I: in their intersection; A_O: in the union but outside the object b;
Mean(M over A_U): the mean saliency over the union.

Where we differ: Delta_box is a hard filter (a feasible set with a negative score beats every infeasible one);
the log of nothing is -inf; one part alone has no intersection. When fewer than n candidates pass, the
constraint is loosened step by step. No candidate is left out at random: for two parts the result is the
optimum over all pairs, for more parts it is found by a beam search. Saliency is summed in whole 2^-24ths, so
that equal sets score equally to the last bit, and ties go to the candidates that come first.
"""

from __future__ import annotations

from typing import Literal, no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from wingbar.boxes import Box, area, clip, intersection

FeasibilityRule = Literal["containment", "iou"]

CONTAINMENT_LADDER = ((0.7, 0.4), (0.7, 0.2), (0.5, 0.1), (0.0, 0.0))
"""(share of the part inside the object, share of the object covered), each more lenient; then: anything."""
IOU_LADDER = (1.0, 0.5, 0.25, 0.0)
"""Factors of the IoU threshold, each more lenient; then: anything."""
SALIENCY_UNIT = 2.0**24
BEAM = 64


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
    chosen = np.array(best_pair(boxes, target, table)) if count == 2 else beam_search(boxes, target, table, count)
    return np.sort(feasible[chosen])


def part_score(
    parts: Int[ndarray, "n 4"],
    object_box: Box,
    saliency: Float[ndarray, "height width"],
    *,
    iou_threshold: float | None = None,
) -> float:
    """Delta_part of a set of parts; -inf when ``iou_threshold`` is given and a part fails f_b."""
    parts = clip(np.asarray(parts, np.int64), saliency.shape[::-1])
    target = np.array(object_box, np.int64)
    if iou_threshold is not None and not passes_iou(parts, target, iou_threshold).all():
        return float("-inf")
    value = set_value(parts, np.arange(len(parts)), target, summed_saliency(saliency))
    return float(np.log(value)) if value > 0 else float("-inf")


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


@numba.njit(cache=True, nogil=True, inline="always")
@no_type_check
def _sum(table: ndarray, x1: int, y1: int, x2: int, y2: int) -> int:
    if x1 >= x2 or y1 >= y2:
        return 0
    return table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]


@numba.njit(cache=True, nogil=True, inline="always")
@no_type_check
def _area(x1: int, y1: int, x2: int, y2: int) -> int:
    return max(x2 - x1, 0) * max(y2 - y1, 0)


@numba.njit(cache=True, nogil=True)
@no_type_check
def best_pair(boxes: ndarray, target: ndarray, table: ndarray) -> tuple[int, int]:
    """The pair (i < j) with the largest (A_U - A_I - A_O) * Mean(M over A_U), the first among equals.

    The product orders pairs as Delta_part does, and is positive exactly where Delta_part is finite.
    """
    n = len(boxes)
    inside, areas = np.empty(n, np.int64), np.empty(n, np.int64)
    sums = np.empty(n, np.int64)
    for i in range(n):
        x1, y1, x2, y2 = boxes[i]
        areas[i] = _area(x1, y1, x2, y2)
        sums[i] = _sum(table, x1, y1, x2, y2)
        inside[i] = _area(max(x1, target[0]), max(y1, target[1]), min(x2, target[2]), min(y2, target[3]))
    best, first, second = 0.0, 0, min(1, n - 1)
    for i in range(n):
        for j in range(i + 1, n):
            x1, y1 = max(boxes[i, 0], boxes[j, 0]), max(boxes[i, 1], boxes[j, 1])
            x2, y2 = min(boxes[i, 2], boxes[j, 2]), min(boxes[i, 3], boxes[j, 3])
            common = _area(x1, y1, x2, y2)
            union = areas[i] + areas[j] - common
            both = _area(max(x1, target[0]), max(y1, target[1]), min(x2, target[2]), min(y2, target[3]))
            gain = inside[i] + inside[j] - both - common  # A_U - A_O - A_I
            if gain <= 0:
                continue
            value = gain * ((sums[i] + sums[j] - _sum(table, x1, y1, x2, y2)) / union)
            if value > best:
                best, first, second = value, i, j
    return first, second


@numba.njit(cache=True, nogil=True)
@no_type_check
def set_value(boxes: ndarray, chosen: ndarray, target: ndarray, table: ndarray) -> float:
    """exp(Delta_part) of the chosen boxes, by inclusion and exclusion over their subsets."""
    n = len(chosen)
    union = inside = total = common = 0
    for subset in range(1, 2**n):
        x1, y1, x2, y2 = boxes[chosen[0]]
        started, sign = False, -1
        for k in range(n):
            if subset >> k & 1:
                b = boxes[chosen[k]]
                if started:
                    x1, y1, x2, y2 = max(x1, b[0]), max(y1, b[1]), min(x2, b[2]), min(y2, b[3])
                else:
                    x1, y1, x2, y2 = b[0], b[1], b[2], b[3]
                started, sign = True, -sign
        size = _area(x1, y1, x2, y2)
        union += sign * size
        total += sign * _sum(table, x1, y1, x2, y2)
        inside += sign * _area(max(x1, target[0]), max(y1, target[1]), min(x2, target[2]), min(y2, target[3]))
        if subset == 2**n - 1 and n > 1:
            common = size
    gain = inside - common
    if gain <= 0 or union <= 0:
        return 0.0
    return gain * (total / union) / SALIENCY_UNIT


@numba.njit(cache=True, nogil=True)
@no_type_check
def beam_search(boxes: ndarray, target: ndarray, table: ndarray, count: int) -> ndarray:
    """``count`` boxes grown one by one, keeping the `BEAM` best sets of each size."""
    n = len(boxes)
    beam = np.zeros((1, 0), np.int64)
    for size in range(1, count + 1):
        values = np.full(len(beam) * n, -1.0)
        for row in range(len(beam)):
            for candidate in range(n):
                if not (beam[row] == candidate).any():
                    values[row * n + candidate] = set_value(boxes, _grown(beam[row], candidate), target, table)
        order = np.argsort(-values, kind="mergesort")
        kept = np.empty((min(BEAM, len(order)), size), np.int64)
        rows = 0
        for place in order:
            if rows == len(kept) or values[place] < 0:
                break
            kept[rows] = _grown(beam[place // n], place % n)
            rows += _is_new(kept, rows)
        beam = kept[:rows]
    return beam[0]


@numba.njit(cache=True, nogil=True)
@no_type_check
def _is_new(kept: ndarray, row: int) -> int:
    for other in range(row):
        if (kept[other] == kept[row]).all():
            return 0
    return 1


@numba.njit(cache=True, nogil=True)
@no_type_check
def _grown(chosen: ndarray, candidate: int) -> ndarray:
    # In order, so that equal sets are equal arrays.
    grown = np.empty(len(chosen) + 1, np.int64)
    place = 0
    while place < len(chosen) and chosen[place] < candidate:
        grown[place] = chosen[place]
        place += 1
    grown[place] = candidate
    grown[place + 1 :] = chosen[place:]
    return grown
