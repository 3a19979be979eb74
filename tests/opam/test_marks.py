"""Field marks: windows, groups, and planted places that are found in every picture."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import normalize

from wingbar.boxes import area
from wingbar.errors import ConfigError
from wingbar.opam.maps import unit
from wingbar.opam.marks import (
    GRID,
    MarkSettings,
    Windows,
    choose_marks,
    detectors,
    locate_again,
    memberships,
    peaks,
    same_places,
    spherical_kmeans,
)


def test_windows_lie_in_the_box_and_have_the_side_that_is_asked_for() -> None:
    grid = Windows.over((20, 10, 120, 74), 0.5)
    assert grid.side == pytest.approx(0.5 * np.sqrt(100 * 64))
    for row in range(GRID):
        for column in range(GRID):
            x1, y1, x2, y2 = grid.box(row, column, (200, 100))
            assert 20 <= x1 < x2 <= 120 and 10 <= y1 < y2 <= 74
            assert abs((x2 - x1) - grid.side) <= 1 and abs((y2 - y1) - grid.side) <= 1


def test_a_narrow_box_has_windows_about_its_middle() -> None:
    grid = Windows.over((90, 0, 100, 100), 0.5)
    assert np.allclose(grid.x, 95) and grid.side == pytest.approx(0.5 * np.sqrt(1000))
    boxes = np.array([grid.box(row, 0, (100, 100)) for row in range(GRID)])
    assert (area(boxes) > 0).all() and boxes.max() <= 100


def test_means_are_those_of_the_pixels_in_the_window() -> None:
    """A map of one cell a pixel: the mean over a window is that of its pixels."""
    maps = np.random.default_rng(0).random((2, 60, 80)).astype(np.float32)
    grid = Windows(np.array([20.0, 50.0]), np.array([30.0]), 16.0)
    means = grid.means(maps, (0, 0, 80, 60))
    assert means.shape == (1, 2, 2)
    for column, x in enumerate((20, 50)):
        np.testing.assert_allclose(means[0, column], maps[:, 22:38, x - 8 : x + 8].mean((1, 2)), rtol=1e-5)


def test_groups_of_directions_are_found() -> None:
    rng = np.random.default_rng(0)
    middles = unit(rng.normal(size=(3, 8)))
    labels = rng.integers(0, 3, 300)
    vectors = unit(middles[labels] + rng.normal(0, 0.1, (300, 8)))
    np.testing.assert_allclose(vectors, normalize(vectors), rtol=1e-5)
    centres = spherical_kmeans(vectors, 3, seed=0)
    assert sorted((centres @ middles.T).argmax(1).tolist()) == [0, 1, 2] and (centres @ middles.T).max(1).min() > 0.98
    assert (memberships(vectors, centres).argmax(1) == (vectors @ centres.T).argmax(1)).all()


def planted(count: int, strength: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Windows' features, in which two marks lie at random places, and these places."""
    rng = np.random.default_rng(seed)
    windows = rng.normal(size=(count, GRID, GRID, 10)).astype(np.float32)
    places = rng.integers(0, GRID, (count, 2, 2))
    for picture, spots in enumerate(places):
        for mark, (row, column) in enumerate(spots):
            windows[picture, row, column, mark] += strength
    return windows, places


def test_marks_are_found_from_a_poor_start() -> None:
    """A third of the windows is right at first; what they have in common finds most of the others."""
    windows, truth = planted(120, strength=6)
    start = truth.copy()
    start[40:] = np.random.default_rng(1).integers(0, GRID, start[40:].shape)
    again = locate_again(windows, start, seed=0)
    assert (start == truth).all(2).mean() < 0.4 and (again == truth).all(2).mean() > 0.8
    fresh, expected = planted(60, strength=6, seed=2)
    result = np.stack([peaks(fresh @ weight) for weight in detectors(windows, again)], 1)
    assert (result == expected).all(2).mean() > 0.8


def test_the_first_of_equal_peaks_is_taken() -> None:
    assert peaks(np.zeros((2, 3, 4))).tolist() == [[0, 0], [0, 0]]
    grid = np.zeros((3, 4))
    grid[2, 1] = 1
    assert peaks(grid).tolist() == [2, 1]


def scores_of(labels: np.ndarray, tells: float, rng: np.random.Generator) -> np.ndarray:
    """Scores as a regression gives them: towards the truth as far as the view tells it, else the mean of all."""
    return tells * np.eye(5)[labels] + (1 - tells) / 5 + 0.15 * rng.normal(size=(len(labels), 5))


def test_marks_are_chosen_while_they_tell_something() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    given = np.stack([scores_of(labels, 0.4, rng), scores_of(labels, 0.4, rng)])
    tried = np.stack([scores_of(labels, tells, rng) for tells in (0.0, 0.9, 0.0, 0.8)])
    apart = np.eye(4, dtype=bool)
    assert choose_marks(given, tried, labels, apart, most=4) == [1, 3]
    assert choose_marks(given, tried[[0]], labels, apart[:1, :1], most=4) == [0]  # there is always one
    assert len(choose_marks(given, tried[[1, 3, 1, 3]], labels, apart, most=1)) == 1
    together = np.ones((4, 4), bool)
    assert choose_marks(given, tried, labels, together, most=4) == [1]


def test_windows_that_overlap_by_more_than_half_are_the_same_place() -> None:
    places = [(0, 0, 10, 10), (4, 0, 14, 10), (6, 0, 16, 10), (2, 2, 6, 6), (20, 20, 30, 30)]
    boxes = np.array([[place, place] for place in places])
    # Shares of the smaller: 0.6, 0.4, 1, 0 of the first; 0.8, 0.5, 0 of the second; none of the third and the fourth.
    expected = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 0, 0], [0, 1, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]], bool)
    assert (same_places(boxes) == expected).all()


@pytest.mark.parametrize("sides", [(), (0.05,), (0.4, 1.5)])
def test_impossible_sides_are_refused(sides: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"marks\.sides"):
        MarkSettings(sides=sides)
