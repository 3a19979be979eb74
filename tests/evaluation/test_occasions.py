"""Figures by occasion, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gmean

from wingbar.evaluation.occasions import occasions_report
from wingbar.opam.pooling import pool_occasion


def test_each_occasion_counts_once_and_its_pictures_answer_together() -> None:
    # The first: one sure mistake against two weak hits; the second: right; the third: alone and wrong.
    scores = np.array([[0.1, 0.9], [0.6, 0.4], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]])
    report = occasions_report(scores, np.array([0, 0, 0, 1, 1, 1]), np.array([4, 4, 4, 2, 2, 7]))
    assert report is not None and (report.occasions, report.several) == (3, 2)
    assert report.top1.value == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert report.together is not None and report.surest is not None and report.most is not None
    assert (report.together.value, report.surest.value, report.most.value) == (0.5, 0.5, 1.0)


def test_pictures_that_are_all_alone_have_no_figures() -> None:
    assert occasions_report(np.eye(3), np.arange(3), np.array([5, 1, 2])) is None


def test_an_occasion_of_many_classes_is_not_answered_together() -> None:
    report = occasions_report(np.eye(2), np.arange(2), np.array([0, 0]))
    assert report is not None and report.several == 0 and report.together is None


def test_pictures_together_are_no_surer_than_the_surest() -> None:
    scores = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
    expected = gmean(scores, axis=0)
    np.testing.assert_allclose(pool_occasion(scores), expected / expected.sum(), rtol=1e-6)
    np.testing.assert_allclose(pool_occasion(np.tile(scores[0], (10, 1))), scores[0], rtol=1e-6)
