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
"""Of the drawing for up to ``ROOMY`` classes; with more it grows, and the page scrolls."""
ROOMY = 60
MARGIN_X, MARGIN_Y = 90, 40
RADIUS = 6
TEXT = 15
LETTERS = 24
"""Letters of a label at most."""


@dataclass(frozen=True)
class Place:
    """A class on the map, in units of the drawing."""

    x: int
    y: int
    label: str
    label_x: int
    label_y: int
    """The label's end next to the point, on the base line."""
    shown: bool
    """False where the label found no room: then it shows only while the class is pointed at."""
    leftwards: bool = False


@dataclass(frozen=True)
class Atlas:
    """The drawing."""

    width: int
    height: int
    places: list[Place]


def embed(rows: Float[ndarray, "classes features"]) -> Float[ndarray, "classes 2"]:
    """The first two principal components; each points where its largest entry is positive."""
    centred = rows - rows.mean(0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(rows), 2))
    count = min(2, len(strength))
    points[:, :count] = left[:, :count] * strength[:count]
    largest = np.take_along_axis(points, np.abs(points).argmax(0)[None], 0)
    return points * np.where(largest < 0, -1, 1)


def ems(text: str) -> float:
    """About how wide a text is, in widths of its size: East Asian letters are square."""
    return sum(1.0 if east_asian_width(letter) in "WF" else 0.6 for letter in text)


def layout(points: Float[ndarray, "classes 2"], names: Sequence[str]) -> Atlas:
    """Points stretched over the drawing, and labels that lie neither on one another nor on a point."""
    growth = min(max(1.0, (len(names) / ROOMY) ** 0.5), 2.5)
    width, height = round(WIDTH * growth), round(HEIGHT * growth)
    spread = np.ptp(points, axis=0)
    shares = (points - points.min(0)) / np.where(spread > 0, spread, 1)
    shares = np.where(spread > 0, shares, 0.5)
    across = MARGIN_X + shares[:, 0] * (width - 2 * MARGIN_X)
    down = MARGIN_Y + (1 - shares[:, 1]) * (height - 2 * MARGIN_Y)
    centres = [(round(float(x)), round(float(y))) for x, y in zip(across, down, strict=True)]
    dots: list[Box] = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in centres]
    labels = [name if len(name) <= LETTERS else name[: LETTERS - 1] + "…" for name in names]
    sizes = [(round(ems(label) * TEXT) + 4, TEXT + 3) for label in labels]
    rooms = place_labels(dots, sizes, (width, height), obstacles=dots)
    return Atlas(width, height, list(map(placed, centres, labels, rooms, [width] * len(labels))))


def placed(centre: tuple[int, int], label: str, room: Box | None, width: int) -> Place:
    """A class with its label in its room, or waiting beside it on the side that has more space."""
    x, y = centre
    if room is not None:
        return Place(x, y, label, room[0] + 2, room[3] - 4, True)
    leftwards = x > width / 2
    return Place(x, y, label, x - RADIUS - 4 if leftwards else x + RADIUS + 4, y + 5, False, leftwards)
