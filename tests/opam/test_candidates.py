"""Candidate sets: the promised coverage on fresh pictures, for good and for bad scores; the formula by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from wingbar.opam.candidates import KEPT, candidate_set, kept, least_probability


def drawn(count: int, boast: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are too sure by the factor ``boast``, and labels."""
    logits = 2 * rng.normal(size=(count, 8))
    labels = np.array([rng.choice(8, p=row) for row in softmax(logits, -1)])
    return softmax(boast * logits, -1), labels


@pytest.mark.parametrize("boast", [0.3, 1.0, 5.0])
def test_sets_hold_the_true_class_as_often_as_promised_whatever_the_scores(boast: float) -> None:
    rng = np.random.default_rng(0)
    for coverage in (0.8, 0.9):
        shares = []
        for _ in range(40):
            scores, labels = drawn(150, boast, rng)
            held_out = kept(scores[np.arange(150), labels])
            fresh, truth = drawn(300, boast, rng)
            sets = [candidate_set(dict(enumerate_sorted(row)), held_out, coverage) for row in fresh]
            shares.append(np.mean([str(label) in some for label, some in zip(truth, sets, strict=True)]))
        assert coverage - 0.02 <= np.mean(shares) <= coverage + 0.06  # three standard errors and more


def enumerate_sorted(row: np.ndarray) -> list[tuple[str, float]]:
    return [(str(label), float(row[label])) for label in np.argsort(-row)]


def test_the_threshold_is_an_order_statistic_and_few_pictures_promise_all_classes() -> None:
    held_out = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert least_probability(held_out, 0.9) == 0.1 and least_probability(held_out, 0.5) == 0.5
    assert least_probability(held_out[:8], 0.9) == 0.0 == least_probability([], 0.5)
    scores = {"wren": 0.6, "robin": 0.35, "owl": 0.05}
    assert candidate_set(scores, held_out, 0.9) == ("wren", "robin")
    assert candidate_set(scores, [0.95] * 99, 0.9) == ("wren",)
    assert candidate_set(scores, [], 0.9) == ("wren", "robin", "owl")


def test_a_model_keeps_an_even_selection() -> None:
    values = np.random.default_rng(0).random(5 * KEPT)
    some = kept(values)
    assert len(some) == KEPT and list(some) == sorted(some) and some[0] == values.min() and some[-1] == values.max()
    assert np.quantile(some, 0.1) == pytest.approx(np.quantile(values, 0.1), abs=1e-3)
    assert kept(np.zeros(0)) == ()
