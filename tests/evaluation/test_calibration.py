"""Calibration figures against scikit-learn, and against scores whose calibration is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from wingbar.evaluation.calibration import BINS, calibration_report, equal_bins, expected_error


def honest(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels drawn by them."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([0.3] * 5, count)
    return scores, np.array([rng.choice(5, p=row) for row in scores])


def test_proper_scores_are_those_of_scikit_learn() -> None:
    scores, labels = honest(300)
    report = calibration_report(scores, labels)
    assert report.nll == pytest.approx(log_loss(labels, scores, labels=range(5)))
    assert report.brier == pytest.approx(sum(brier_score_loss(labels == c, scores[:, c]) for c in range(5)))
    assert report.mean_score == pytest.approx(scores.max(1).mean())


def test_honest_scores_are_off_by_noise_and_boasting_ones_by_what_they_boast() -> None:
    scores, labels = honest(20_000)
    assert calibration_report(scores, labels).ece.value < 0.02
    right = np.random.default_rng(1).random(20_000) < 0.7
    assert expected_error(np.full(20_000, 0.9), right) == pytest.approx(0.2, abs=0.02)


def test_sets_are_counted() -> None:
    scores, labels = honest(6)
    report = calibration_report(scores, labels, [[int(label)] for label in labels[:3]] + [[0, 1, 2, 3, 4]] * 3)
    assert report.sets is not None and report.sets.value == 1 and report.set_size == 3
    assert calibration_report(scores, labels).sets is None


def test_the_interval_holds_the_figure_and_bins_hold_every_answer_once() -> None:
    scores, labels = honest(200)
    report = calibration_report(scores, labels)
    assert report.ece.low <= report.ece.value <= report.ece.high
    assert len(report.reliability) == BINS and sum(count for *_, count in report.reliability) == 200
    assert np.array_equal(np.sort(np.concatenate(equal_bins(scores.max(1)))), np.arange(200))
    assert len(equal_bins(scores[:4].max(1))) == 4


def test_the_surest_answers_are_right_more_often() -> None:
    scores, labels = honest(5000)
    report = calibration_report(scores, labels)
    assert list(report.coverage) == ["0.5", "0.8", "0.9", "0.95", "1"]
    shares = list(report.coverage.values())
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx((scores.argmax(1) == labels).mean())
