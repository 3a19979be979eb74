"""Geometry of boxes: ``xyxy``, half-open, in pixels of the original picture.

A box ``(x1, y1, x2, y2)`` holds the pixels ``x1 <= x < x2`` and ``y1 <= y < y2``, so its area is
``(x2 - x1) * (y2 - y1)`` and the whole picture is ``(0, 0, width, height)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from numpy import ndarray

Box = tuple[int, int, int, int]


def as_box(corners: Box | Real[ndarray, "4"]) -> Box:
    """Four corners as a box of plain integers."""
    x1, y1, x2, y2 = (int(value) for value in corners)
    return (x1, y1, x2, y2)


def box_of_mask(mask: Bool[ndarray, "h w"]) -> Box | None:
    """The smallest box that holds all true pixels of a mask; None where none is."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return None
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def whole(size: tuple[int, int]) -> Box:
    """The box of a whole picture of ``size`` (width, height)."""
    return (0, 0, int(size[0]), int(size[1]))


def area(boxes: Real[ndarray, "*n 4"]) -> Real[ndarray, "*n"]:
    """Areas in pixels; an empty or inverted box has area 0."""
    boxes = np.asarray(boxes)
    if boxes.dtype.kind == "i":
        boxes = boxes.astype(np.int64)
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def intersection(a: Real[ndarray, "n 4"], b: Real[ndarray, "m 4"]) -> Real[ndarray, "n m"]:
    """Areas of the pairwise intersections, in pixels."""
    a, b = np.asarray(a)[:, None], np.asarray(b)[None]
    corners = np.concatenate([np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])], axis=-1)
    return area(corners)


def iou(a: Real[ndarray, "n 4"], b: Real[ndarray, "m 4"]) -> Float[ndarray, "n m"]:
    """Pairwise intersection over union in [0, 1]; 0 where both boxes are empty."""
    inter = intersection(a, b).astype(np.float64)
    union = area(np.asarray(a))[:, None] + area(np.asarray(b))[None] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def clip(boxes: Real[ndarray, "*n 4"], size: tuple[int, int]) -> Real[ndarray, "*n 4"]:
    """Boxes cut to a picture of ``size`` (width, height)."""
    width, height = size
    return np.clip(boxes, 0, np.array([width, height, width, height]))


def rescale(boxes: Real[ndarray, "*n 4"], from_size: tuple[int, int], to_size: tuple[int, int]) -> Int[ndarray, "*n 4"]:
    """Boxes of a picture of ``from_size`` carried over to the same picture at ``to_size``.

    Corners are rounded outwards, so that no pixel of a box is lost, and cut to the picture.
    """
    scale = np.array([to_size[0] / from_size[0], to_size[1] / from_size[1]] * 2)
    scaled = np.asarray(boxes, dtype=np.float64) * scale
    outwards = np.concatenate([np.floor(scaled[..., :2] + 1e-9), np.ceil(scaled[..., 2:] - 1e-9)], axis=-1)
    return clip(outwards, to_size).astype(np.int32)


def with_context(box: Box, size: tuple[int, int], margin: float = 0.0, aspect: float = 1.5) -> Box:
    """A box to crop: ``margin`` (share of each side) added, and no side over ``aspect`` times the other.

    The short side grows about the centre, and slides inside the picture rather than being cut, so
    that resizing the crop to a square distorts the object little.
    """
    x1, y1, x2, y2 = box
    width, height = max(x2 - x1, 1), max(y2 - y1, 1)
    want_w, want_h = width * (1 + 2 * margin), height * (1 + 2 * margin)
    want_w, want_h = max(want_w, want_h / aspect), max(want_h, want_w / aspect)
    left, right = _slide((x1 + x2) / 2, want_w, size[0])
    top, bottom = _slide((y1 + y2) / 2, want_h, size[1])
    return (left, top, right, bottom)


def crop_boxes(boxes: Sequence[Box] | Int[ndarray, "n 4"], size: tuple[int, int], margin: float) -> list[Box]:
    """The boxes to crop for object or parts: with context, nearly square, inside the picture."""
    return [with_context(as_box(box), size, margin) for box in boxes]


def _slide(centre: float, length: float, limit: int) -> tuple[int, int]:
    span = min(max(round(length), 1), limit)
    start = min(max(round(centre - span / 2), 0), limit - span)
    return start, start + span
