"""Figures of unknown pictures: against scikit-learn and against the definitions by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wingbar.evaluation.strangers import auroc, open_set_figures, strangers_report


def test_the_area_is_scikit_learns_with_ties() -> None:
    rng = np.random.default_rng(0)
    known, strange = rng.integers(3, 9, 50) / 10, rng.integers(0, 7, 30) / 10
    flags = np.arange(80) < 50
    assert auroc(known, strange) == pytest.approx(roc_auc_score(flags, np.concatenate([known, strange])))


def test_oscr_counts_only_those_named_rightly() -> None:
    known, strange = np.array([0.9, 0.8, 0.3]), np.array([0.5, 0.1])
    one = open_set_figures(known, strange, np.array([True, False, True]))
    assert one.oscr == pytest.approx((2 + 1) / (3 * 2)) and one.fpr95 == 0.5
    assert one.auroc.value == pytest.approx(5 / 6)
    assert open_set_figures(known, strange, np.zeros(3, bool)).oscr == 0.0


def test_without_strangers_only_refusals_are_told() -> None:
    none, taken = np.zeros(0), np.array([True, False, False, False])
    report = strangers_report((np.ones(4), none), (np.ones(4), none), (taken, none.astype(bool)), ~taken)
    assert report.refused.value == 0.25 and report.pictures == 0
    assert report.caught is report.known is report.score is None
