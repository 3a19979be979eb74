"""Hierarchical grouping of regions (Uijlings et al., IJCV 2013, section 3), compiled."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import float32
from numpy import ndarray

from wingbar.opam._compiled import compiled

COLOUR_BINS = 25
ORIENTATIONS = 8
STRENGTHS = 4
TEXTURE_BINS = ORIENTATIONS * STRENGTHS


@compiled()
@no_type_check
def texture_bins(planes: ndarray) -> ndarray:
    """Bin uint8 [3, height, width] of each pixel's gradient: which eighth of a turn, and how strong of four.

    Comparisons number the eighths, without a branch, so that a line is done in a few vector steps.
    """
    channels, height, width = planes.shape
    bins = np.empty(planes.shape, np.uint8)
    across = np.zeros(width, np.float32)
    for channel in range(channels):
        plane = planes[channel]
        for y in range(height):
            line, above, below = plane[y], plane[max(y - 1, 0)], plane[min(y + 1, height - 1)]
            if width > 1:
                across[0], across[-1] = line[1] - line[0], line[-1] - line[-2]
            for x in range(1, width - 1):
                across[x] = line[x + 1] - line[x - 1]
            target = bins[channel, y]
            for x in range(width):
                gx, gy = across[x], below[x] - above[x]
                strength = abs(gx) + abs(gy)
                turn = 4 * np.uint8(gy < 0) + 2 * np.uint8(gx < 0) + np.uint8(abs(gy) > abs(gx))
                level = np.uint8(strength > 4) + np.uint8(strength > 12) + np.uint8(strength > 36)
                target[x] = STRENGTHS * turn + level
    return bins


@compiled()
@no_type_check
def describe(labels: ndarray, number: int, planes: ndarray, textures: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """Of each region: histograms float32 [number, bins] (colour, then texture; each channel sums to 1),
    box int32 [number, 4] and size int32 [number]."""
    height, width = labels.shape
    bins = 3 * (COLOUR_BINS + TEXTURE_BINS)
    histograms = np.zeros((number, bins), np.float32)
    boxes = np.empty((number, 4), np.int32)
    boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3] = width, height, 0, 0
    sizes = np.zeros(number, np.int32)
    for y in range(height):
        for x in range(width):
            region = labels[y, x]
            sizes[region] += 1
            box = boxes[region]
            box[0], box[1] = min(box[0], x), min(box[1], y)
            box[2], box[3] = max(box[2], x + 1), max(box[3], y + 1)
            for channel in range(3):
                colour = int(planes[channel, y, x] * float32(COLOUR_BINS / 256))
                colour = min(max(colour, 0), COLOUR_BINS - 1)
                histograms[region, channel * COLOUR_BINS + colour] += 1
                texture = 3 * COLOUR_BINS + channel * TEXTURE_BINS + textures[channel, y, x]
                histograms[region, texture] += 1
    for region in range(number):
        histograms[region] /= sizes[region]
    return histograms, boxes, sizes


@compiled()
@no_type_check
def neighbours(labels: ndarray, number: int) -> ndarray:
    """Which regions touch: bool [number, number]."""
    height, width = labels.shape
    touching = np.zeros((number, number), np.bool_)
    for y in range(height):
        for x in range(width):
            a = labels[y, x]
            if x + 1 < width:
                touching[a, labels[y, x + 1]] = True
                touching[labels[y, x + 1], a] = True
            if y + 1 < height:
                touching[a, labels[y + 1, x]] = True
                touching[labels[y + 1, x], a] = True
    for region in range(number):
        touching[region, region] = False
    return touching


@compiled(fastmath={"reassoc", "nsz", "contract"})
@no_type_check
def _overlap(a: ndarray, b: ndarray, start: int, stop: int) -> np.float32:
    total = float32(0)
    for i in range(start, stop):
        total += min(a[i], b[i])
    return total


@compiled()
@no_type_check
def _similarity(
    histograms: ndarray, boxes: ndarray, sizes: ndarray, a: int, b: int, pixels: int, mix: ndarray
) -> float:
    """Section 3.2: weighted colour, texture, size and fill similarity of regions a and b."""
    width = max(boxes[a, 2], boxes[b, 2]) - min(boxes[a, 0], boxes[b, 0])
    height = max(boxes[a, 3], boxes[b, 3]) - min(boxes[a, 1], boxes[b, 1])
    size = sizes[a] + sizes[b]
    total = mix[2] * (1 - size / pixels) + mix[3] * (1 - (width * height - size) / pixels)
    if mix[0] > 0:
        total += mix[0] * _overlap(histograms[a], histograms[b], 0, 3 * COLOUR_BINS) / 3
    if mix[1] > 0:
        total += mix[1] * _overlap(histograms[a], histograms[b], 3 * COLOUR_BINS, histograms.shape[1]) / 3
    return total


@compiled()
@no_type_check
def _similarities(
    histograms: ndarray, boxes: ndarray, sizes: ndarray, touching: ndarray, pixels: int, mix: ndarray
) -> ndarray:
    """Similarity of every pair of neighbours, -1 where two regions do not touch."""
    number = len(sizes)
    table = np.full((number, number), -1, np.float32)
    for a in range(number):
        for b in range(a + 1, number):
            if touching[a, b]:
                table[a, b] = table[b, a] = _similarity(histograms, boxes, sizes, a, b, pixels, mix)
    return table


@compiled()
@no_type_check
def group(histograms: ndarray, boxes: ndarray, sizes: ndarray, touching: ndarray, pixels: int, mix: ndarray) -> ndarray:
    """Join the two most similar neighbours until one region, the picture, is left.

    ``mix`` weights colour, texture, size and fill. Returns the boxes int32 [2 n - 1, 4] of all regions in the
    order in which they came to be. A joined pair lives on in the row of its first region; each row keeps its
    best partner, so that a step costs a few rows and not the whole table.
    """
    number = len(sizes)
    table = _similarities(histograms, boxes, sizes, touching, pixels, mix)
    histograms, sizes, grown = histograms.copy(), sizes.copy(), boxes.copy()
    born = np.empty((2 * number - 1, 4), np.int32)
    born[:number] = boxes
    best, peak = np.empty(number, np.int64), np.empty(number, np.float32)
    for a in range(number):
        best[a] = np.argmax(table[a])
        peak[a] = table[a, best[a]]
    for step in range(number, 2 * number - 1):
        top = np.argmax(peak)
        a, b = min(top, best[top]), max(top, best[top])
        share = float32(sizes[b] / (sizes[a] + sizes[b]))
        histograms[a] += share * (histograms[b] - histograms[a])
        sizes[a] += sizes[b]
        grown[a, :2], grown[a, 2:] = (
            np.minimum(grown[a, :2], grown[b, :2]),
            np.maximum(grown[a, 2:], grown[b, 2:]),
        )
        born[step] = grown[a]
        table[a, b] = table[b, a] = -1
        for c in range(number):
            if table[a, c] < 0 and table[b, c] < 0:
                continue
            value = _similarity(histograms, grown, sizes, a, c, pixels, mix)
            table[a, c] = table[c, a] = value
            table[b, c] = table[c, b] = -1
            if value > peak[c]:
                best[c], peak[c] = a, value
            elif best[c] == a or best[c] == b:
                best[c] = np.argmax(table[c])
                peak[c] = table[c, best[c]]
        best[a] = np.argmax(table[a])
        peak[a], peak[b] = table[a, best[a]], -1
    return born
