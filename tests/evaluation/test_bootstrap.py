"""Intervals against scipy's bootstrap, the binomial law, and hand-computed cases."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from wingbar.evaluation.bootstrap import error_reduction, mean_interval, paired_difference, ratio_interval


def some_answers(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    difficulty = rng.random(n)
    return difficulty < 0.7, difficulty + rng.normal(0, 0.1, n) < 0.8


def test_mean_interval_agrees_with_scipy():
    correct, _ = some_answers()
    ours = mean_interval(correct, seed=3, resamples=4000)
    theirs = stats.bootstrap(
        (correct.astype(float),), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(4)
    ).confidence_interval
    assert ours.value == correct.mean()
    assert ours.low == pytest.approx(theirs.low, abs=0.006)
    assert ours.high == pytest.approx(theirs.high, abs=0.006)


def test_mean_interval_follows_the_binomial_law():
    correct, _ = some_answers()
    ours = mean_interval(correct, resamples=4000)
    low, high = stats.binom.ppf([0.025, 0.975], len(correct), correct.mean()) / len(correct)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.006)


def test_error_reduction_agrees_with_scipy_on_pairs():
    baseline, better = some_answers()
    ours = error_reduction(baseline, better, seed=3, resamples=4000)
    theirs = stats.bootstrap(
        (~baseline, ~better),
        lambda a, b, axis: 1 - b.sum(axis) / a.sum(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(4),
    ).confidence_interval
    assert ours is not None
    assert ours.value == pytest.approx(1 - (~better).sum() / (~baseline).sum())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)


def test_paired_difference_is_narrower_than_an_unpaired_one():
    baseline, better = some_answers()
    pair = paired_difference(baseline, better)
    assert pair.value == pytest.approx(better.mean() - baseline.mean())
    spread = np.sqrt((baseline.var() + better.var()) / len(better))
    assert pair.high - pair.low < 0.8 * 2 * 1.96 * spread


def test_the_same_answers_do_not_differ():
    correct, _ = some_answers()
    assert paired_difference(correct, correct) == (0, 0, 0)
    assert error_reduction(correct, correct) == (0, 0, 0)


def test_seeded():
    correct, _ = some_answers()
    assert mean_interval(correct, seed=5) == mean_interval(correct, seed=5)
    assert mean_interval(correct, seed=5)[1:] != mean_interval(correct, seed=6)[1:]


def test_hand_computed_error_reduction():
    baseline = np.array([False] * 10 + [True] * 90)
    ours = np.array([False] * 7 + [True] * 93)
    result = error_reduction(baseline, ours)
    assert result is not None
    assert result.value == pytest.approx(0.3)
    assert 0 <= result.low < 0.3 < result.high <= 1


def test_more_errors_are_a_negative_reduction():
    result = error_reduction(np.array([True, True, False]), np.array([True, False, False]))
    assert result is not None
    assert result.value == -1


def test_a_faultless_baseline_leaves_nothing_to_reduce():
    assert error_reduction(np.ones(5, bool), np.zeros(5, bool)) is None


def test_draws_without_a_baseline_error_are_left_out():
    result = error_reduction(np.array([False, True, True]), np.array([True, True, False]))
    assert result is not None
    assert np.isfinite(result).all()


def test_no_pictures():
    with pytest.raises(ValueError, match="no pictures"):
        mean_interval(np.empty(0))
    with pytest.raises(ValueError, match="no pictures"):
        error_reduction(np.empty(0, bool), np.empty(0, bool))


def test_an_estimate_is_a_list_in_json():
    assert json.loads(json.dumps(mean_interval(np.ones(3)))) == [1, 1, 1]


def test_error_reduction_takes_shares_over_several_trainings() -> None:
    baseline, ours = np.array([0.5, 1.0, 0.0, 0.5]), np.array([1.0, 1.0, 0.5, 0.5])
    result = error_reduction(baseline, ours)
    assert result is not None and result.value == pytest.approx(1 - 1.0 / 2.0)


def test_a_ratio_of_means_has_an_interval_that_holds_it() -> None:
    above = np.random.default_rng(0).normal(2, 1, 200)
    below = np.random.default_rng(1).normal(1, 1, 200)
    ratio = ratio_interval(above, below)
    assert ratio is not None and ratio.low < 2 < ratio.high
    assert ratio.value == pytest.approx(above.mean() / below.mean())
    assert ratio_interval(above, -np.abs(below)) is None
