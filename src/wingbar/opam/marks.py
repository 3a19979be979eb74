"""Field marks: small places of the object that are the same in every picture, found without annotation.

1. Feature vectors of a fine map (stride 16) inside the object, less their mean and of length one, are cut into K groups
   by spherical k-means (Dhillon and Modha, 2001).
2. In each picture a group's place is the window, a square of ``side`` times the root of the object's area, that holds
   most of it.
3. What the windows of a group have in common is learnt: with d(w) a window's mean features, m_k their mean over group
   k's windows, m and S mean and covariance over all windows,

       detector_k(w) = (S + s I)^-1 (m_k - m) . d(w)

   a linear discriminant (Hariharan, Malik, Ramanan, "Discriminative decorrelation for clustering and classification",
   ECCV 2012). Each picture's window becomes the one that its detector answers most, the pictures in two halves, each
   located by the other's detectors; several times.

Detectors are linear, and so is the mean over a window: a detector is a map ``w_k . f(x, y)`` whose mean over a window
is its answer. So a prediction finds all marks from one pass of the object's crop. A mark has one number in every
picture. OPAM takes parts from selective search, which differ from picture to picture, and aligns them afterwards.

4. Which groups, and how large a square, is chosen by what they tell: of all squares tried the one that names most of
   the training pictures rightly together with those chosen before, each picture by a ridge that has not seen it. It is
   added while it gains more pictures than it loses by more than chance, which is the root of both together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from wingbar._system.settings import within
from wingbar.boxes import Box
from wingbar.errors import ConfigError
from wingbar.opam.maps import cell_shares

MOST_MARKS = 8
"""Of an object."""
GRID = 12
"""Windows are tried at so many places across and down the object's box."""
ROUNDS = 6
"""How often windows are located again by what they have in common."""
SHRINKAGE = 0.1
"""What is added to the covariance's diagonal, as a share of its mean."""
SHARPNESS = 10.0
"""Of the soft membership of a place in the groups: the factor of its cosine in a softmax."""


@dataclass(frozen=True)
class MarkSettings:
    """Field marks."""

    groups: int = 3
    """Groups of places that all objects have; marks are chosen among them."""
    sides: tuple[float, ...] = (0.4, 0.5)
    """Sides of the squares tried around each place, as shares of the root of the object's area."""
    most: int = 4
    """Marks of an object, at most."""

    def __post_init__(self) -> None:
        within(self, "marks", groups=(1, MOST_MARKS), most=(1, MOST_MARKS))
        if not self.sides or not all(0.1 <= side <= 1 for side in self.sides):
            raise ConfigError(f"marks.sides is {self.sides}; give at least one, each between 0.1 and 1.")


@dataclass(frozen=True)
class Windows:
    """Where windows of one picture lie: the middles tried, and their side, in pixels of the picture."""

    x: Float[ndarray, "columns"]
    y: Float[ndarray, "rows"]
    side: float

    @staticmethod
    def over(box: Box, side: float) -> Windows:
        """Windows of ``side`` times the root of the box's area, inside the box where they fit."""
        x1, y1, x2, y2 = box
        length = side * float(np.sqrt(max(x2 - x1, 1) * max(y2 - y1, 1)))
        return Windows(_middles(x1, x2, length), _middles(y1, y2, length), length)

    def box(self, row: int, column: int, size: tuple[int, int]) -> Box:
        """The window at a place of the grid as a box inside a picture of ``size`` (width, height)."""
        x1, x2 = _interval(float(self.x[column]), self.side, size[0])
        y1, y2 = _interval(float(self.y[row]), self.side, size[1])
        return (x1, y1, x2, y2)

    def means(
        self, maps: Float[ndarray, "channels h w"], frame: Sequence[float]
    ) -> Float32[ndarray, "rows columns channels"]:
        """Mean of each channel over each window, of maps that span the box ``frame`` of the picture."""
        x1, y1, x2, y2 = frame
        half = self.side / 2
        across = cell_shares(self.x - half - x1, self.x + half - x1, x2 - x1, maps.shape[2])
        down = cell_shares(self.y - half - y1, self.y + half - y1, y2 - y1, maps.shape[1])
        return np.einsum("chw,yh,xw->yxc", maps, down, across, optimize=True).astype(np.float32)


def _middles(start: int, stop: int, length: float) -> Float[ndarray, "places"]:
    low, high = start + length / 2, stop - length / 2
    return np.linspace(low, high, GRID) if high > low else np.full(GRID, (start + stop) / 2)


def _interval(middle: float, length: float, limit: int) -> tuple[int, int]:
    start = min(max(round(middle - length / 2), 0), limit - 1)
    return start, min(max(round(middle + length / 2), start + 1), limit)


def spherical_kmeans(
    vectors: Float32[ndarray, "n channels"], groups: int, seed: int, starts: int = 4, rounds: int = 40
) -> Float32[ndarray, "groups channels"]:
    """Middles, of length one, of the groups of unit vectors; the best of several starts."""
    rng = np.random.default_rng(seed)
    best, best_value = vectors[:groups], -np.inf
    for _ in range(starts):
        middles = vectors[rng.choice(len(vectors), groups, replace=len(vectors) < groups)]
        for _ in range(rounds):
            group = (vectors @ middles.T).argmax(1)
            sums = np.stack([vectors[group == k].sum(0) for k in range(groups)])
            moved = np.where((sums != 0).any(1, keepdims=True), unit(sums), middles)
            if np.abs(moved - middles).max() < 1e-4:
                break
            middles = moved
        value = float((vectors @ middles.T).max(1).mean())
        if value > best_value:
            best, best_value = middles, value
    return best


def unit(vectors: Float[ndarray, "*n channels"]) -> Float32[ndarray, "*n channels"]:
    """Vectors at length one; one of length zero stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-6)).astype(np.float32)


def memberships(
    vectors: Float32[ndarray, "*n channels"], middles: Float32[ndarray, "groups channels"]
) -> Float32[ndarray, "*n groups"]:
    """How much a place belongs to each group: a softmax of its cosines."""
    powers = np.exp(SHARPNESS * (vectors @ middles.T))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def peaks(scores: Float[ndarray, "*n rows columns"]) -> Int[ndarray, "*n 2"]:
    """Row and column of each grid's largest score; the first among equals."""
    flat = scores.reshape(*scores.shape[:-2], -1).argmax(-1)
    return np.stack([flat // scores.shape[-1], flat % scores.shape[-1]], -1)


def mark_boxes(
    box: Box,
    maps: Float32[ndarray, "marks h w"],
    frame: Sequence[float],
    size: tuple[int, int],
    sides: Sequence[float],
) -> list[Box]:
    """The window of an object's ``box`` that speaks most for each mark; ``maps``, one a mark, span the ``frame``."""
    boxes = []
    for saliency, side in zip(maps, sides, strict=True):
        grid = Windows.over(box, side)
        row, column = peaks(grid.means(saliency[None], frame)[..., 0])
        boxes.append(grid.box(int(row), int(column), size))
    return boxes


def detectors(
    windows: Float32[ndarray, "n rows columns features"], places: Int[ndarray, "n marks 2"]
) -> Float32[ndarray, "marks features"]:
    """Linear discriminants of each mark's windows against all windows."""
    mean, whitening = _background(windows)
    return np.stack([_detector(windows, places[:, k], mean, whitening) for k in range(places.shape[1])])


def locate_again(
    windows: Float32[ndarray, "n rows columns features"], places: Int[ndarray, "n marks 2"], seed: int
) -> Int[ndarray, "n marks 2"]:
    """Each mark's place in each picture by detectors of the other half of the pictures, `ROUNDS` times over."""
    if len(windows) < 4:
        return places
    mean, whitening = _background(windows)
    half = np.random.default_rng(seed).permutation(len(windows)) % 2
    for _ in range(ROUNDS):
        moved = places.copy()
        for k in range(places.shape[1]):
            for side in (0, 1):
                known, asked = half != side, half == side
                detector = _detector(windows[known], places[known, k], mean, whitening)
                moved[asked, k] = peaks(windows[asked] @ detector)
        places = moved
    return places


def _background(windows: Float32[ndarray, "n rows columns features"]) -> tuple[ndarray, ndarray]:
    """Mean of all windows, and the inverse of their shrunk covariance, from every other row and column."""
    every = windows[:, ::2, ::2].reshape(-1, windows.shape[-1]).astype(np.float64)
    mean = every.mean(0)
    scatter = (every - mean).T @ (every - mean) / len(every)
    scatter += (SHRINKAGE * np.trace(scatter) / len(scatter) + 1e-12) * np.eye(len(scatter))
    return mean, np.linalg.inv(scatter)


def _detector(windows: ndarray, places: Int[ndarray, "n 2"], mean: ndarray, whitening: ndarray) -> ndarray:
    chosen = windows[np.arange(len(windows)), places[:, 0], places[:, 1]]
    return (whitening @ (chosen.mean(0) - mean)).astype(np.float32)


def choose_marks(
    given: Float[ndarray, "n classes"],
    tried: Float[ndarray, "marks n classes"],
    labels: Int[ndarray, "n"],
    most: int,
) -> list[int]:
    """Which of the marks that were ``tried`` to keep: at least one, at most ``most``, in the order of their worth.

    Arrays are scores of pictures by something that has not seen them; those of several views are added. ``given`` are
    the scores without marks.
    """
    chosen: list[int] = []
    scores, right = given, given.argmax(1) == labels
    while len(chosen) < min(most, len(tried)):
        rest = [mark for mark in range(len(tried)) if mark not in chosen]
        answers = {mark: (scores + tried[mark]).argmax(1) == labels for mark in rest}
        best = max(rest, key=lambda mark: int(answers[mark].sum()))
        gained, lost = int((answers[best] & ~right).sum()), int((right & ~answers[best]).sum())
        if chosen and gained - lost <= np.sqrt(gained + lost):
            break
        chosen.append(best)
        scores, right = scores + tried[best], answers[best]
    return chosen
