"""The map of all classes by look: where each lies, and which labels have room.

Each class is the mean of ClassNet's evidence over its training pictures, a row of [classes, classes]; its place is
the row's first two principal components. Classes that the net finds alike lie close together. Two numbers cannot hold
all of a likeness: neighbours on the map are likely look-alikes, far ones may still be confused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from wingbar.boxes import Box
from wingbar.explain.placing import place_labels

WIDTH, HEIGHT = 1000, 700
MARGIN_X, MARGIN_Y = 90, 40
RADIUS = 6
TEXT = 15
LETTERS = 24
"""Letters of a label at most."""


@dataclass(frozen=True)
class Place:
    """A class on the map, in units of the drawing; a label that found no room is None."""

    x: int
    y: int
    label: str | None
    label_x: int
    label_y: int
    """Left end of the label's base line."""


def embed(rows: Float[ndarray, "classes features"]) -> Float[ndarray, "classes 2"]:
    """The first two principal components; each points where its largest entry is positive."""
    centred = rows - rows.mean(0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(rows), 2))
    count = min(2, len(strength))
    found[:, :count] = left[:, :count] * strength[:count]
    largest = np.take_along_axis(found, np.abs(found).argmax(0)[None], 0)
    return found * np.where(largest < 0, -1, 1)


def ems(text: str) -> float:
    """About how wide a text is, in widths of its size: East Asian letters are square."""
    return sum(1.0 if east_asian_width(letter) in "WF" else 0.6 for letter in text)


def layout(points: Float[ndarray, "classes 2"], names: Sequence[str]) -> list[Place]:
    """Points stretched over the drawing, and labels that lie neither on one another nor on a point."""
    spread = np.ptp(points, axis=0)
    shares = (points - points.min(0)) / np.where(spread > 0, spread, 1)
    shares = np.where(spread > 0, shares, 0.5)
    across = MARGIN_X + shares[:, 0] * (WIDTH - 2 * MARGIN_X)
    down = MARGIN_Y + (1 - shares[:, 1]) * (HEIGHT - 2 * MARGIN_Y)
    centres = [(round(float(x)), round(float(y))) for x, y in zip(across, down, strict=True)]
    dots: list[Box] = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in centres]
    labels = [name if len(name) <= LETTERS else name[: LETTERS - 1] + "…" for name in names]
    sizes = [(round(ems(label) * TEXT) + 4, TEXT + 3) for label in labels]
    rooms = place_labels(dots, sizes, (WIDTH, HEIGHT), obstacles=dots)
    return [
        Place(x, y, label if room else None, room[0] + 2 if room else 0, room[3] - 4 if room else 0)
        for (x, y), label, room in zip(centres, labels, rooms, strict=True)
    ]
