"""Search for the set of boxes with the largest value: all pairs and triples by bounding, larger sets by a beam.

    value(P) = (A_U - A_I - A_O) * Mean(M over A_U) = exp(Delta_part(P))       (see `wingbar.opam.parts`)

`set_value` is exact: areas are whole numbers, saliency is summed in whole 2^-24ths. It is also slow, so every pair
and triple first meets an upper bound, which looks nothing up in the summed-area table and is computed for `BLOCK`
sets at once by vector instructions; few sets are left to be valued. Boxes are visited in the order of their
values, since a good set found early cuts off most others, and of equal sets the one whose indices come first is
kept: the result is that of the plain loop over all sets, to the last bit.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar.opam._compiled import compiled
from wingbar.opam._sets import SALIENCY_UNIT, area_of, beam_search, set_value, sum_in

BLOCK = 128
MOST_FOR_TRIPLES = 1000
"""Boxes whose triples are all searched; the tables of their pairs take 12 bytes times its square."""
CAUTION = 1 - 2.0**-16
"""Bounds are sums and products of a dozen float32, each off by 2^-24 of at most twice the set's sum: under 2^-18."""
EXACT_IN_FLOAT32 = 2**22
"""Pixels of a picture up to which sums of three areas are whole numbers in float32."""


def best_set(
    boxes: Int[ndarray, "n 4"], target: Int[ndarray, "4"], table: Int[ndarray, "rows columns"], count: int
) -> Int[ndarray, "count"]:
    """Indices, ascending, of the ``count`` boxes with the largest value; the first set among equals.

    The optimum for one or two boxes, and for three of at most `MOST_FOR_TRIPLES`; else the best that a beam meets.
    Boxes lie inside the picture that ``table`` sums; there are at least ``count``.
    """
    if count == 2:
        return best_pair(boxes, target, table, *_laid_out(boxes, target, table))
    chosen = beam_search(boxes, target, table, count)
    if count == 3 and len(boxes) <= MOST_FOR_TRIPLES:
        return best_triple(boxes, target, table, *_laid_out(boxes, target, table), chosen)
    return chosen


def _laid_out(
    boxes: Int[ndarray, "n 4"], target: Int[ndarray, "4"], table: Int[ndarray, "rows columns"]
) -> tuple[Int[ndarray, "n"], Float[ndarray, "blocks 7 size"], Float[ndarray, "6"]]:
    """The order of the boxes by their own values, and what bounds are made of.

    In that order, block by block: x1, y1, x2, y2, area, area inside the target, sum of saliency; the last block is
    filled up with nothing. Then the target's corners, the largest saliency of a pixel, and zero.
    """
    kind = np.float32 if table.size <= EXACT_IN_FLOAT32 else np.float64
    areas, inside, sums = _measure(boxes, target, table)
    order = np.argsort(-(inside * (sums / np.maximum(areas, 1))), kind="stable")
    columns = np.zeros((7, -(-len(boxes) // BLOCK) * BLOCK), kind)
    columns[:, : len(boxes)] = np.vstack([boxes.T, areas, inside, sums])[:, order]
    blocks = columns.reshape(7, -1, BLOCK).transpose(1, 0, 2)
    pixels = np.diff(np.diff(table, axis=0), axis=1)
    return order, np.ascontiguousarray(blocks), np.array([*target, pixels.max(initial=0), 0], kind)


@compiled()
@no_type_check
def _measure(boxes: ndarray, target: ndarray, table: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    n = len(boxes)
    areas, inside, sums = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        x1, y1, x2, y2 = boxes[i]
        areas[i] = area_of(x1, y1, x2, y2)
        inside[i] = area_of(max(x1, target[0]), max(y1, target[1]), min(x2, target[2]), min(y2, target[3]))
        sums[i] = sum_in(table, x1, y1, x2, y2)
    return areas, inside, sums


@compiled(inline="always")
@no_type_check
def _pair_excess(box: ndarray, block: ndarray, j: int, frame: ndarray, floor: float) -> float:
    """Above zero wherever the pair's value is ``floor`` or more: an upper bound of it, less ``floor``, times A_U.

    A_U - A_I - A_O is exact; the saliency in the union is at most that of the two boxes, whose overlap counts
    twice, and at most the union's area times the largest saliency of a pixel.
    """
    zero = frame[5]
    x1, x2 = max(box[0], block[0, j]), min(box[2], block[2, j])
    y1, y2 = max(box[1], block[1, j]), min(box[3], block[3, j])
    common = max(x2 - x1, zero) * max(y2 - y1, zero)
    wide, high = min(x2, frame[2]) - max(x1, frame[0]), min(y2, frame[3]) - max(y1, frame[1])
    gain = box[5] + block[5, j] - max(wide, zero) * max(high, zero) - common
    union = box[4] + block[4, j] - common
    return gain * min(box[6] + block[6, j], union * frame[4]) - floor * union


@compiled()
@no_type_check
def _pairs_in_question(box: ndarray, block: ndarray, frame: ndarray, floor: float) -> int:
    number = np.int32(0)
    for j in range(BLOCK):
        number += np.int32(_pair_excess(box, block, j, frame, floor) > frame[5])
    return number


@compiled()
@no_type_check
def best_pair(
    boxes: ndarray, target: ndarray, table: ndarray, order: ndarray, blocks: ndarray, frame: ndarray
) -> ndarray:
    """The pair with the largest value, the first among equals."""
    n = len(order)
    best, best_set, trial = 0.0, np.array([0, 1]), np.empty(2, np.int64)
    floor = np.zeros(1, blocks.dtype)  # of the type that bounds are computed in
    for i in range(n - 1):
        box = blocks[i // BLOCK, :, i % BLOCK].copy()
        for b in range(i // BLOCK, len(blocks)):
            if _pairs_in_question(box, blocks[b], frame, floor[0]) == 0:
                continue
            for j in range(max(b * BLOCK, i + 1), min(b * BLOCK + BLOCK, n)):
                if _pair_excess(box, blocks[b], j - b * BLOCK, frame, floor[0]) > 0:
                    trial[0], trial[1] = min(order[i], order[j]), max(order[i], order[j])
                    value = set_value(boxes, trial, target, table)
                    if value > best or (value == best and _is_before(trial, best_set)):
                        best, best_set[:] = value, trial
                        floor[0] = best * SALIENCY_UNIT * CAUTION
    return best_set


@compiled()
@no_type_check
def _overlaps(boxes: ndarray, target: ndarray, table: ndarray, order: ndarray, blocks: ndarray) -> ndarray:
    """[n, blocks, 3, size]: each box's overlaps with each block's: common area, that in the target, saliency."""
    n = len(order)
    pairs = np.zeros((n, len(blocks), 3, BLOCK), blocks.dtype)
    for i in range(n):
        for j in range(i + 1):
            a, b = boxes[order[i]], boxes[order[j]]
            x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
            inside = area_of(max(x1, target[0]), max(y1, target[1]), min(x2, target[2]), min(y2, target[3]))
            measures = area_of(x1, y1, x2, y2), inside, sum_in(table, x1, y1, x2, y2)
            for what in range(3):
                pairs[i, j // BLOCK, what, j % BLOCK] = pairs[j, i // BLOCK, what, i % BLOCK] = measures[what]
    return pairs


@compiled(inline="always")
@no_type_check
def _triple_excess(
    pair: ndarray, block: ndarray, one: ndarray, two: ndarray, k: int, frame: ndarray, floor: float
) -> float:
    """Above zero wherever the triple's value is ``floor`` or more, as `_pair_excess`.

    Inclusion and exclusion, exact but for the saliency in all three, which is at most that in each two of them and
    at most its area times the largest saliency of a pixel. ``pair``: the common box of the first two, then area,
    area inside the target, and saliency of their union. ``one`` and ``two``: overlaps of each with the third.
    """
    zero = frame[5]
    x1, x2 = max(pair[0], block[0, k]), min(pair[2], block[2, k])
    y1, y2 = max(pair[1], block[1, k]), min(pair[3], block[3, k])
    common = max(x2 - x1, zero) * max(y2 - y1, zero)
    wide, high = min(x2, frame[2]) - max(x1, frame[0]), min(y2, frame[3]) - max(y1, frame[1])
    inside = pair[5] + block[5, k] - one[1, k] - two[1, k] + max(wide, zero) * max(high, zero)
    union = pair[4] + block[4, k] - one[0, k] - two[0, k] + common
    in_all = min(min(one[2, k], two[2, k]), common * frame[4])
    saliency = pair[6] + block[6, k] - one[2, k] - two[2, k] + in_all
    return (inside - common) * min(saliency, union * frame[4]) - floor * union


@compiled()
@no_type_check
def _triples_in_question(
    pair: ndarray, block: ndarray, one: ndarray, two: ndarray, frame: ndarray, floor: float
) -> int:
    number = np.int32(0)
    for k in range(BLOCK):
        number += np.int32(_triple_excess(pair, block, one, two, k, frame, floor) > frame[5])
    return number


@compiled(inline="always")
@no_type_check
def _put_in_order(trial: ndarray, a: int, b: int, c: int) -> None:
    trial[0], trial[2] = min(a, b, c), max(a, b, c)
    trial[1] = a + b + c - trial[0] - trial[2]


@compiled()
@no_type_check
def best_triple(
    boxes: ndarray, target: ndarray, table: ndarray, order: ndarray, blocks: ndarray, frame: ndarray, start: ndarray
) -> ndarray:
    """The triple with the largest value, the first among equals; ``start`` is a good one to begin with."""
    n, overlaps = len(order), _overlaps(boxes, target, table, order, blocks)
    best, best_set, trial = set_value(boxes, start, target, table), start.copy(), np.empty(3, np.int64)
    if best == 0:
        best_set[:] = np.arange(3)
    floor, pair = np.zeros(1, blocks.dtype), np.empty(7, blocks.dtype)
    floor[0] = best * SALIENCY_UNIT * CAUTION
    for i in range(n - 2):
        one = blocks[i // BLOCK, :, i % BLOCK]
        for j in range(i + 1, n - 1):
            two = blocks[j // BLOCK, :, j % BLOCK]
            for side in range(2):
                pair[side], pair[side + 2] = max(one[side], two[side]), min(one[side + 2], two[side + 2])
            for what in range(3):
                pair[4 + what] = one[4 + what] + two[4 + what] - overlaps[i, j // BLOCK, what, j % BLOCK]
            for b in range(j // BLOCK, len(blocks)):
                if _triples_in_question(pair, blocks[b], overlaps[i, b], overlaps[j, b], frame, floor[0]) == 0:
                    continue
                for k in range(max(b * BLOCK, j + 1), min(b * BLOCK + BLOCK, n)):
                    at = k - b * BLOCK
                    if _triple_excess(pair, blocks[b], overlaps[i, b], overlaps[j, b], at, frame, floor[0]) > 0:
                        _put_in_order(trial, order[i], order[j], order[k])
                        value = set_value(boxes, trial, target, table)
                        if value > best or (value == best and _is_before(trial, best_set)):
                            best, best_set[:] = value, trial
                            floor[0] = best * SALIENCY_UNIT * CAUTION
    return best_set


@compiled()
@no_type_check
def _is_before(one: ndarray, other: ndarray) -> bool:
    for k in range(len(one)):
        if one[k] != other[k]:
            return one[k] < other[k]
    return False
