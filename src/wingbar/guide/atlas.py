"""The map of classes: a point for each class, placed by similarity, and the labels that fit beside the points.

A class is described by the mean of ClassNet's logits over its training pictures, which is one row of a matrix
[classes, classes]. Its point is given by the first two principal components of the rows, so classes with similar
logits lie close together. Two dimensions cannot represent all similarities: neighbours on the map probably look alike,
but classes that lie far apart may still be confused.
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
"""Size of the drawing for up to ``ROOMY`` classes. It grows with more classes, and the page scrolls."""
ROOMY = 60
MARGIN_X, MARGIN_Y = 90, 40
RADIUS = 6
TEXT = 15
LETTERS = 24
"""The largest number of letters of a label; longer names are cut."""


@dataclass(frozen=True)
class PlottedClass:
    """The point and the label of a class on the map, in units of the drawing."""

    x: int
    y: int
    label: str
    label_x: int
    label_y: int
    """The end of the label that is next to the point, on the text's base line."""
    shown: bool
    """False if there was no free place for the label: then it is shown only while the pointer is on the class."""
    leftwards: bool = False


@dataclass(frozen=True)
class Atlas:
    """The size of the drawing, and its classes."""

    width: int
    height: int
    places: list[PlottedClass]


def embed(rows: Float[ndarray, "classes features"]) -> Float[ndarray, "classes 2"]:
    """The first two principal components of each row, with their signs chosen so that the largest entry is positive."""
    centred = rows - rows.mean(0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(rows), 2))
    count = min(2, len(strength))
    points[:, :count] = left[:, :count] * strength[:count]
    largest = np.take_along_axis(points, np.abs(points).argmax(0)[None], 0)
    return points * np.where(largest < 0, -1, 1)


def ems(text: str) -> float:
    """The approximate width of a text, as a multiple of the font size; East Asian letters are square."""
    return sum(1.0 if east_asian_width(letter) in "WF" else 0.6 for letter in text)


def layout(points: Float[ndarray, "classes 2"], names: Sequence[str]) -> Atlas:
    """Scale the points to the size of the drawing, and place the labels so that they cover no point and no other label.

    ``names`` are the class names, in the order of the points.
    """
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


def placed(centre: tuple[int, int], label: str, room: Box | None, width: int) -> PlottedClass:
    """A class with its label in the free box ``room``; without one, beside its point, on the side with more space."""
    x, y = centre
    if room is not None:
        return PlottedClass(x, y, label, room[0] + 2, room[3] - 4, True)
    leftwards = x > width / 2
    return PlottedClass(x, y, label, x - RADIUS - 4 if leftwards else x + RADIUS + 4, y + 5, False, leftwards)
