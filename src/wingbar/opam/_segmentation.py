"""Graph segmentation of a picture (Felzenszwalb & Huttenlocher, IJCV 2004), compiled.

Pixels are nodes, neighbouring pixels are joined by edges weighted by their colour distance. Edges are
visited from the lightest; two regions join when the edge is lighter than ``Int(C) + k / |C|`` of both,
where ``Int(C)`` is the heaviest edge inside region C so far (equations 3 to 5 of the paper).
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import float32, int32, uint64
from numpy import ndarray

from wingbar.opam._compiled import compiled

_BITS = 12  # per counting pass: 4096 counters stay in the first-level cache
_DIGITS = 1 << _BITS


@compiled()
@no_type_check
def _reflected(length: int, margin: int) -> ndarray:
    """Indices of a line mirrored at both ends (d c b a | a b c d | d c b a), however short it is."""
    index = np.empty(length + 2 * margin, np.int64)
    for i in range(len(index)):
        place = (i - margin) % (2 * length)
        index[i] = place if place < length else 2 * length - 1 - place
    return index


@compiled()
@no_type_check
def smooth(planes: ndarray, sigma: float) -> ndarray:
    """Gaussian blur of float32 planes [channel, height, width], cut at 4 sigma, edges mirrored."""
    radius = int(4.0 * sigma + 0.5)
    if radius == 0:
        return planes.copy()
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    channels, height, width = planes.shape
    rows, columns = _reflected(height, radius), _reflected(width, radius)
    out = np.empty_like(planes)
    line, padded = np.empty(width, np.float32), np.empty(width + 2 * radius, np.float32)
    for channel in range(channels):
        for y in range(height):
            line[:] = 0
            for tap in range(2 * radius + 1):
                weight, source = float32(kernel[tap]), planes[channel, rows[y + tap]]
                for x in range(width):
                    line[x] += weight * source[x]
            for x in range(width + 2 * radius):
                padded[x] = line[columns[x]]
            target = out[channel, y]
            target[:] = 0
            for tap in range(2 * radius + 1):
                weight = float32(kernel[tap])
                for x in range(width):
                    target[x] += weight * padded[x + tap]
    return out


@compiled()
@no_type_check
def _distances(planes: ndarray) -> ndarray:
    """Colour distance from each pixel to its right, lower, lower right and lower left neighbour."""
    channels, height, width = planes.shape
    weights = np.full((4, height, width), np.inf, np.float32)
    for direction in range(4):
        dy, dx = (0, 1, 1, 1)[direction], (1, 0, 1, -1)[direction]
        first, last = max(-dx, 0), width - max(dx, 0)
        for y in range(height - dy):
            target = weights[direction, y]
            for x in range(first, last):
                total = float32(0)
                for channel in range(channels):
                    step = planes[channel, y + dy, x + dx] - planes[channel, y, x]
                    total += step * step
                target[x] = np.sqrt(total)
    return weights


@compiled()
@no_type_check
def sorted_edges(planes: ndarray, fine: bool = True) -> tuple[ndarray, ndarray]:
    """Weights of all edges, ascending, and their ids (4 * pixel + direction).

    Each pixel is joined to its eight neighbours. The order is right to within 2**-24 of the heaviest weight,
    or 2**-12 where not ``fine``.
    A stable radix sort of the weights in fixed point. Each entry carries its key above its id,
    so that one write moves both.
    """
    weights = _distances(planes)
    heaviest = float32(0)
    for weight in weights.ravel():
        if weight < np.inf:
            heaviest = max(heaviest, weight)
    unit = ((_DIGITS**2 if fine else _DIGITS) - 1) / max(heaviest, float32(1e-6))
    pixels = weights.shape[1] * weights.shape[2]
    flat = weights.reshape(4, pixels)
    low, high = np.zeros(_DIGITS, np.int32), np.zeros(_DIGITS, np.int32)
    entries = np.empty(4 * pixels, np.uint64)
    present = 0
    for direction in range(4):
        for pixel in range(pixels):
            if flat[direction, pixel] < np.inf:
                key = uint64(int32(flat[direction, pixel] * unit))
                low[key & (_DIGITS - 1)] += 1
                high[key >> _BITS] += 1
                entries[present] = (key << uint64(32)) | uint64(4 * pixel + direction)
                present += 1
    entries = _counting_pass(entries[:present], low, 32)
    if fine:
        entries = _counting_pass(entries, high, 32 + _BITS)
    ids = np.empty(present, np.int32)
    ordered = np.empty(present, np.float32)
    for i in range(present):
        ids[i] = int32(entries[i] & uint64(0xFFFFFFFF))
        ordered[i] = flat[ids[i] & 3, ids[i] >> 2]
    return ordered, ids


@compiled()
@no_type_check
def _counting_pass(entries: ndarray, counts: ndarray, shift: int) -> ndarray:
    """``entries`` in the order of the digit above ``shift``, of which ``counts`` is the histogram."""
    places = np.cumsum(counts) - counts
    out = np.empty_like(entries)
    for entry in entries:
        digit = (entry >> uint64(shift)) & uint64(_DIGITS - 1)
        out[places[digit]] = entry
        places[digit] += 1
    return out


@compiled(inline="always")
@no_type_check
def _root(parent: ndarray, node: int) -> int:
    up = parent[node]
    while up != node:
        top = parent[up]
        parent[node] = top
        node, up = top, parent[top]
    return node


@compiled()
@no_type_check
def segment(
    weights: ndarray, ids: ndarray, height: int, width: int, scale: float, min_size: int
) -> tuple[ndarray, int]:
    """Labels int32 [height, width], numbered in reading order, and their number."""
    pixels = height * width
    offsets = np.array([1, width, width + 1, width - 1], np.int32)
    parent = np.arange(pixels).astype(np.int32)
    size = np.ones(pixels, np.int32)
    limit = np.full(pixels, scale, np.float32)
    between = np.empty(len(ids), np.int32)  # edges that did not join their ends
    left = 0
    for i in range(len(ids)):
        pixel = ids[i] >> 2
        a, b = _root(parent, pixel), _root(parent, pixel + offsets[ids[i] & 3])
        if a == b:
            continue
        if weights[i] < limit[a] and weights[i] < limit[b]:
            a, b = min(a, b), max(a, b)
            parent[b] = a
            size[a] += size[b]
            limit[a] = weights[i] + float32(scale) / size[a]
        else:
            between[left] = ids[i]
            left += 1
    for i in range(left):
        pixel = between[i] >> 2
        a, b = _root(parent, pixel), _root(parent, pixel + offsets[between[i] & 3])
        if a != b and (size[a] < min_size or size[b] < min_size):
            a, b = min(a, b), max(a, b)
            parent[b] = a
            size[a] += size[b]
    labels = np.empty(pixels, np.int32)
    number = 0
    for pixel in range(pixels):  # a root is its region's first pixel, so its label is already there
        root = _root(parent, pixel)
        if root == pixel:
            labels[pixel] = number
            number += 1
        else:
            labels[pixel] = labels[root]
    return labels.reshape(height, width), number
