"""Candidate sets: the promised coverage on fresh pictures, for good and for bad scores; the formula by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from wingbar.opam.candidates import ENOUGH, KEPT, candidate_set, kept, kept_by_class, least_probability


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


def test_a_class_with_enough_pictures_is_held_as_often_as_promised_though_it_is_hard() -> None:
    rng = np.random.default_rng(1)
    names = [str(label) for label in range(4)]

    def hard(count: int) -> tuple[np.ndarray, np.ndarray]:
        """Class 0 is told badly, the others well."""
        labels = np.arange(count) % 4
        sure = np.where(labels == 0, 1, 6)[:, None]
        return softmax(np.eye(4)[labels] * sure + rng.normal(size=(count, 4)), -1), labels

    alike, by_itself = [], []
    for _ in range(30):
        scores, labels = hard(400)
        held_out = scores[np.arange(400), labels]
        by_class = kept_by_class(held_out, labels, names)
        fresh, truth = hard(400)
        rows = [dict(enumerate_sorted(row)) for row in fresh[truth == 0]]
        alike.append(np.mean(["0" in candidate_set(row, kept(held_out), 0.9) for row in rows]))
        by_itself.append(np.mean(["0" in candidate_set(row, kept(held_out), 0.9, by_class) for row in rows]))
    assert np.mean(alike) < 0.8 and 0.88 <= np.mean(by_itself) <= 0.95


def test_only_classes_with_enough_pictures_have_a_threshold_of_their_own() -> None:
    labels = np.array([0] * ENOUGH + [1] * (ENOUGH - 1))
    by_class = kept_by_class(np.linspace(0, 1, len(labels)), labels, ("wren", "robin", "owl"))
    assert list(by_class) == ["wren"] and len(by_class["wren"]) == ENOUGH
    scores = {"robin": 0.7, "wren": 0.2, "owl": 0.1}
    assert candidate_set(scores, [0.15] * 99, 0.9, {"wren": [0.3] * ENOUGH}) == ("robin",)
    assert candidate_set(scores, [0.15] * 99, 0.99, {"wren": [0.3] * ENOUGH}) == ("robin", "wren")  # too few for 99 %
