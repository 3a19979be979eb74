"""The value of a set of boxes, to the last bit, and a beam search for a good set.

    value(P) = (A_U - A_I - A_O) * Mean(M over A_U) = exp(Delta_part(P))       (see `wingbar.opam.parts`)

Areas are whole numbers and saliency is summed in whole 2^-24ths, so that equal sets have equal values.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numpy import ndarray

from wingbar.opam._compiled import compiled

SALIENCY_UNIT = 2.0**24
BEAM = 64


@compiled(inline="always")
@no_type_check
def sum_in(table: ndarray, x1: int, y1: int, x2: int, y2: int) -> int:
    """Sum of the summed-area table's values over a box, which may be empty."""
    if x1 >= x2 or y1 >= y2:
        return 0
    return table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]


@compiled(inline="always")
@no_type_check
def area_of(x1: int, y1: int, x2: int, y2: int) -> int:
    """Pixels of a box, which may be empty."""
    return max(x2 - x1, 0) * max(y2 - y1, 0)


@compiled()
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
        size = area_of(x1, y1, x2, y2)
        union += sign * size
        total += sign * sum_in(table, x1, y1, x2, y2)
        inside += sign * area_of(max(x1, target[0]), max(y1, target[1]), min(x2, target[2]), min(y2, target[3]))
        if subset == 2**n - 1 and n > 1:
            common = size
    gain = inside - common
    if gain <= 0 or union <= 0:
        return 0.0
    return gain * (total / union) / SALIENCY_UNIT


@compiled()
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
        wider = np.empty((min(BEAM, len(order)), size), np.int64)
        rows = 0
        for place in order:
            if rows == len(wider) or values[place] < 0:
                break
            wider[rows] = _grown(beam[place // n], place % n)
            rows += _is_new(wider, rows)
        beam = wider[:rows]
    return beam[0]


@compiled()
@no_type_check
def _is_new(wider: ndarray, row: int) -> int:
    for other in range(row):
        if (wider[other] == wider[row]).all():
            return 0
    return 1


@compiled()
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
