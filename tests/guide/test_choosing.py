"""What the guide shows, against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wingbar.guide.choosing import best, best_marks, confusion, likeness, pairs_to_compare, share_interval
from wingbar.guide.examples import evenly


def test_the_best_come_first_and_ties_in_order() -> None:
    assert best(np.array([0.1, 0.9, 0.5, 0.9]), 3) == [1, 3, 2]
    assert best(np.array([]), 3) == []


def test_marks_are_of_one_cluster_and_of_different_pictures() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    clusters, owners = np.array([0, 0, 1, 0, 0]), np.array([0, 0, 1, 2, 3])
    assert best_marks(scores, clusters, owners, 0, 2) == [0, 3]  # the second is of the first's picture
    assert best_marks(scores, clusters, owners, 1, 9) == [2]
    assert best_marks(scores, clusters, owners, 7, 9) == []


def test_likeness_is_the_mean_of_both_ways() -> None:
    alike = likeness(np.array([[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.0, 0.1, 0.9]]))
    np.testing.assert_allclose(alike, [[-1, 0.3, 0.05], [0.3, -1, 0.1], [0.05, 0.1, -1]])


def test_confusion_counts() -> None:
    assert confusion([0, 0, 1, 2], [0, 1, 1, 1], 3).tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert confusion([], [], 2).tolist() == [[0, 0], [0, 0]]


def test_pairs_are_those_confused_or_else_the_most_alike() -> None:
    errors = np.array([[5, 3, 1, 1, 0], [0, 9, 0, 0, 0], [0, 0, 9, 0, 0], [0, 0, 0, 9, 0], [0, 0, 0, 0, 9]])
    alike = np.full((5, 5), 0.1)
    alike[4, 2] = alike[2, 4] = 0.4
    np.fill_diagonal(alike, -1)
    # 0 brings its two worst, 1 and 2; 3 brings its only one; 4, never confused, its nearest.
    assert pairs_to_compare(errors, alike) == [(0, 1), (0, 2), (0, 3), (2, 4)]


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_there_are_few_pairs_and_every_class_is_in_one(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = pairs_to_compare(rng.integers(0, 3, (classes, classes)), likeness(rng.random((classes, classes))))
    assert len(pairs) <= 2 * classes and {label for pair in pairs for label in pair} == set(range(classes))
    assert all(a < b for a, b in pairs) and len(set(pairs)) == len(pairs)


@pytest.mark.parametrize(
    ("right", "count", "low", "high"),
    # Brown, Cai, DasGupta (2001), "Interval estimation for a binomial proportion", by the formula of section 3.1.1.
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_wilsons_interval(right: int, count: int, low: float, high: float) -> None:
    assert share_interval(right, count) == pytest.approx((low, high), abs=5e-5)


def test_a_sample_is_even_and_bounded() -> None:
    assert evenly(range(10), 4) == [0, 3, 6, 9]
    assert evenly(range(3), 9) == [0, 1, 2] and evenly([], 9) == [] and evenly([5], 1) == [5]
