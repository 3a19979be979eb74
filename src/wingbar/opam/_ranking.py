"""One order for the boxes of many hierarchies, likeliest object first.

Uijlings et al. order boxes by their level in the hierarchy times a random number. Here the level is weighed
by what can be seen instead, all in natural logarithms (constants chosen on training pictures):

    key = log(level) + penalty of the hierarchy + 0.4 * picture borders touched
          - 0.3 * log(sqrt(box area / picture area)) + 1.5 * max(0, (overlap - 0.8) / 0.2)

``overlap`` is the largest IoU with any box that stands earlier by the other terms: near-duplicates wait.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import float32
from numpy import ndarray

from wingbar.opam._compiled import compiled

_BORDER, _AREA, _REPEAT, _SAME = 0.4, 0.3, 1.5, 0.8
_LOOKED_BACK_AT = 500  # earlier boxes that a box is compared with: bounds the cost


@compiled()
@no_type_check
def rank(boxes: ndarray, prior: ndarray, width: int, height: int) -> ndarray:
    """Distinct boxes int32 [n, 4] by the key above; ``prior`` is its first two terms."""
    distinct = _distinct(boxes, prior)
    boxes, key = boxes[distinct], prior[distinct]
    for i in range(len(boxes)):
        x1, y1, x2, y2 = boxes[i]
        touched = (x1 <= 1) + (y1 <= 1) + (x2 >= width - 1) + (y2 >= height - 1)
        share = (x2 - x1) * (y2 - y1) / (width * height)
        key[i] += _BORDER * touched - _AREA * 0.5 * np.log(share)
    order = np.argsort(key, kind="mergesort")
    boxes, key = boxes[order], key[order]
    overlaps = _earlier_overlap(boxes.astype(np.float32))
    key += _REPEAT * np.maximum(0.0, (overlaps - _SAME) / (1 - _SAME))
    return boxes[np.argsort(key, kind="mergesort")]


@compiled()
@no_type_check
def _distinct(boxes: ndarray, prior: ndarray) -> ndarray:
    """Index of the copy of lowest ``prior`` of each box."""
    code = np.empty(len(boxes), np.int64)
    for i in range(len(boxes)):
        x1, y1, x2, y2 = boxes[i]
        code[i] = ((np.int64(x1) << 48) | (np.int64(y1) << 32)) | ((np.int64(x2) << 16) | np.int64(y2))
    by_prior = np.argsort(prior, kind="mergesort")
    by_code = by_prior[np.argsort(code[by_prior], kind="mergesort")]
    first = np.ones(len(boxes), np.bool_)
    first[1:] = code[by_code[1:]] != code[by_code[:-1]]
    return by_code[first]


@compiled(fastmath={"nnan", "nsz"})
@no_type_check
def _earlier_overlap(boxes: ndarray) -> ndarray:
    """Largest IoU of each box with those before it."""
    corners = np.ascontiguousarray(boxes.T)
    x1, y1, x2, y2 = corners[0], corners[1], corners[2], corners[3]
    areas = (x2 - x1) * (y2 - y1)
    out = np.zeros(len(boxes), np.float32)
    zero = float32(0)
    for i in range(len(boxes)):
        most = zero
        for j in range(min(i, _LOOKED_BACK_AT)):
            wide = max(min(x2[i], x2[j]) - max(x1[i], x1[j]), zero)
            high = max(min(y2[i], y2[j]) - max(y1[i], y1[j]), zero)
            most = max(most, wide * high / (areas[i] + areas[j] - wide * high))
        out[i] = most
    return out
