"""Field marks: small regions that correspond between pictures, such as the head, found without annotations.

1. The feature vectors of a fine map (stride 16) inside the object are centred, scaled to length one, and clustered into
   K groups by spherical k-means (Dhillon and Modha, 2001).
2. A window is a square whose side is ``side`` times the square root of the object's area. In each picture, the window
   of a group is the one with the largest membership in the group.
3. A detector is trained for each group. Let d(w) be the mean feature vector of the window w, m_k the mean of d over the
   windows of group k, and m and S the mean and the covariance of d over all windows. The detector's response is the
   linear discriminant

       response_k(w) = (S + s I)^-1 (m_k - m) . d(w)

   (Hariharan, Malik, Ramanan, "Discriminative decorrelation for clustering and classification", ECCV 2012). Each
   picture's window is then replaced by the one with the largest response. The pictures are divided into two halves, and
   the detectors of one half locate the windows of the other. This step is repeated `ROUNDS` times.
4. The marks are chosen among all groups and sides by forward selection: the next mark is the one with which the scores
   of the training pictures are best, together with the marks chosen before. The scores of a picture are the means of
   ridge regressions, one for each view, that were not fitted to it; how bad they are is their squared distance from the
   true class (Brier's score), which has far less noise than the number of right answers. Selection ends when the gain
   is within chance: at most twice its standard error over the pictures. Windows that overlap those of a chosen mark by
   more than half are the same place, and are left out.

Detectors are linear, and so is the mean over a window. So a detector is a map ``w_k . f(x, y)``, and its response is
the mean of that map over the window. A prediction therefore finds all marks in one pass of the object's crop.

OPAM has no such step. Its parts come from selective search, differ from picture to picture, and are aligned afterwards;
a field mark has the same number in every picture from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from numpy import ndarray

from wingbar._system.settings import within
from wingbar.boxes import Box
from wingbar.errors import ConfigError
from wingbar.opam.maps import cell_shares, unit

MOST_MARKS = 8
"""The largest number of marks of an object."""
GRID = 12
"""The number of window positions across and down the object's box."""
ROUNDS = 6
"""The number of times that the windows are located with the detectors."""
SHRINKAGE = 0.1
"""The value added to the covariance's diagonal, as a share of the diagonal's mean."""
MARGIN = 2.0
"""The least gain of a further mark, in standard errors."""
SAME = 0.5
"""The share of the smaller of two windows from which on they are taken for the same place."""
SHORT = 1e-6
"""The length of feature vectors below which their direction says nothing."""
SHARPNESS = 10.0
"""The factor of the cosines in the softmax that gives the membership of a cell in the groups."""


@dataclass(frozen=True)
class MarkSettings:
    """Field marks."""

    groups: int = 3
    """Groups that feature vectors of the object are clustered into; marks are chosen among them."""
    sides: tuple[float, ...] = (0.4, 0.5)
    """Sides of the squares that are tried for each group, as shares of the square root of the object's area."""
    most: int = 4
    """The largest number of marks of an object."""

    def __post_init__(self) -> None:
        within(self, "marks", groups=(1, MOST_MARKS), most=(1, MOST_MARKS))
        if not self.sides or not all(0.1 <= side <= 1 for side in self.sides):
            raise ConfigError(f"marks.sides is {self.sides}; give at least one, each between 0.1 and 1.")


@dataclass(frozen=True)
class Windows:
    """The grid of windows of a picture: their centres and their side, in pixels of the picture."""

    x: Float[ndarray, "columns"]
    y: Float[ndarray, "rows"]
    side: float

    @staticmethod
    def over(box: Box, side: float) -> Windows:
        """The windows of a box; they lie inside the box unless they are larger than it.

        ``side`` is a share of the square root of the box's area.
        """
        x1, y1, x2, y2 = box
        length = side * float(np.sqrt(max(x2 - x1, 1) * max(y2 - y1, 1)))
        return Windows(_middles(x1, x2, length), _middles(y1, y2, length), length)

    def box(self, row: int, column: int, size: tuple[int, int]) -> Box:
        """The window at a position of the grid, as a box inside a picture of ``size`` (width, height), in pixels."""
        x1, x2 = _interval(float(self.x[column]), self.side, size[0])
        y1, y2 = _interval(float(self.y[row]), self.side, size[1])
        return (x1, y1, x2, y2)

    def means(
        self, maps: Float[ndarray, "channels h w"], frame: Sequence[float]
    ) -> Float32[ndarray, "rows columns channels"]:
        """The mean of each channel over each window; ``frame`` is the box of the picture that the maps cover."""
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
    """Cluster unit vectors by spherical k-means; returns the groups' centres, which have length one.

    The best of ``starts`` random initialisations is taken; each has at most ``rounds`` iterations.
    """
    rng = np.random.default_rng(seed)
    best, best_value = vectors[:groups], -np.inf
    for _ in range(starts):
        middles = vectors[rng.choice(len(vectors), groups, replace=len(vectors) < groups)]
        for _ in range(rounds):
            group = (vectors @ middles.T).argmax(1)
            sums = np.stack([vectors[group == k].sum(0) for k in range(groups)])
            moved = np.where((sums != 0).any(1, keepdims=True), unit(sums, SHORT), middles)
            if np.abs(moved - middles).max() < 1e-4:
                break
            middles = moved
        value = float((vectors @ middles.T).max(1).mean())
        if value > best_value:
            best, best_value = middles, value
    return best


def memberships(
    vectors: Float32[ndarray, "*n channels"], middles: Float32[ndarray, "groups channels"]
) -> Float32[ndarray, "*n groups"]:
    """The membership of each vector in each group: the softmax of `SHARPNESS` times its cosines with the centres."""
    powers = np.exp(SHARPNESS * (vectors @ middles.T))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def peaks(scores: Float[ndarray, "*n rows columns"]) -> Int[ndarray, "*n 2"]:
    """The row and column of each grid's largest score; of equal scores, the first."""
    flat = scores.reshape(*scores.shape[:-2], -1).argmax(-1)
    return np.stack([flat // scores.shape[-1], flat % scores.shape[-1]], -1)


def mark_boxes(
    box: Box,
    maps: Float32[ndarray, "marks h w"],
    frame: Sequence[float],
    size: tuple[int, int],
    sides: Sequence[float],
) -> list[Box]:
    """The window with the largest response of each mark, as a box in pixels of the picture.

    Args:
        box: the object's box.
        maps: the detector's map of each mark.
        frame: the box of the picture that the maps cover.
        size: the (width, height) of the picture.
        sides: the side of each mark's windows, as a share of the square root of the box's area.
    """
    boxes = []
    for saliency, side in zip(maps, sides, strict=True):
        grid = Windows.over(box, side)
        row, column = peaks(grid.means(saliency[None], frame)[..., 0])
        boxes.append(grid.box(int(row), int(column), size))
    return boxes


def detectors(
    windows: Float32[ndarray, "n rows columns features"], places: Int[ndarray, "n marks 2"]
) -> Float32[ndarray, "marks features"]:
    """The detector of each mark; ``places`` are the (row, column) of its window in the grid of each picture."""
    mean, whitening = _background(windows)
    return np.stack([_detector(windows, places[:, k], mean, whitening) for k in range(places.shape[1])])


def locate_again(
    windows: Float32[ndarray, "n rows columns features"], places: Int[ndarray, "n marks 2"], seed: int
) -> Int[ndarray, "n marks 2"]:
    """Locate each mark in each picture with the detectors of the other half of the pictures, `ROUNDS` times.

    Fewer than four pictures are too few for halves: their places are returned as they are.
    """
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
    """The mean and the inverse shrunk covariance of all windows, estimated from every other row and column."""
    every = windows[:, ::2, ::2].reshape(-1, windows.shape[-1]).astype(np.float64)
    mean = every.mean(0)
    scatter = (every - mean).T @ (every - mean) / len(every)
    scatter += (SHRINKAGE * np.trace(scatter) / len(scatter) + 1e-12) * np.eye(len(scatter))
    return mean, np.linalg.inv(scatter)


def _detector(windows: ndarray, places: Int[ndarray, "n 2"], mean: ndarray, whitening: ndarray) -> ndarray:
    chosen = windows[np.arange(len(windows)), places[:, 0], places[:, 1]]
    return (whitening @ (chosen.mean(0) - mean)).astype(np.float32)


def same_places(boxes: Int[ndarray, "marks n 4"]) -> Bool[ndarray, "marks marks"]:
    """Whether the boxes of two marks share more than `SAME` of the smaller one, in the mean over the pictures."""
    low, high = boxes[..., :2].astype(np.float64), boxes[..., 2:].astype(np.float64)
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    areas = np.prod(high - low, axis=-1)
    shares = np.prod(np.maximum(sides, 0), axis=-1) / np.minimum(areas[:, None], areas)
    return shares.mean(-1) > SAME


def choose_marks(
    given: Float[ndarray, "views n classes"],
    tried: Float[ndarray, "marks n classes"],
    labels: Int[ndarray, "n"],
    same: Bool[ndarray, "marks marks"],
    most: int,
) -> list[int]:
    """Choose marks by forward selection; returns the indices of at least one and at most ``most``, the best first.

    Args:
        given: the scores of the pictures by the views that are there anyway.
        tried: the scores by each candidate mark. All scores are out of fold.
        labels: the true class of each picture.
        same: which candidates are the same place: see `same_places`.
        most: the largest number of marks.
    """
    truth = np.eye(given.shape[2])[labels]

    def losses(marks: list[int]) -> Float[ndarray, "n"]:
        return ((np.concatenate([given, tried[marks]]).mean(0) - truth) ** 2).sum(1)

    chosen: list[int] = []
    while len(chosen) < min(most, len(tried)):
        rest = [mark for mark in range(len(tried)) if mark not in chosen and not same[mark, chosen].any()]
        if not rest:
            break
        best = min(rest, key=lambda mark: float(losses([*chosen, mark]).mean()))
        gain = losses(chosen) - losses([*chosen, best])
        if chosen and gain.mean() <= MARGIN * gain.std() / np.sqrt(len(gain)):
            break
        chosen.append(best)
    return chosen
