"""Confident learning against its definition, and on labels known to be wrong."""

from __future__ import annotations

import numpy as np

from wingbar.check.labels import doubtful


def test_the_worked_example() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.2, 0.4])
    # thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6, class 1 (0.8 + 0.6) / 2 = 0.7
    assert doubtful(labels, np.stack([first, 1 - first], 1)) == [(2, 1)]


def test_it_is_the_definition() -> None:
    rng = np.random.default_rng(3)
    labels, p = rng.integers(0, 4, 200), rng.dirichlet(np.full(4, 0.4), 200)
    threshold = [np.mean([p[i, j] for i in range(200) if labels[i] == j]) for j in range(4)]
    expected = {}
    for i in range(200):
        reached = [j for j in range(4) if p[i, j] >= threshold[j]]
        best = max(reached, key=lambda j: p[i, j]) if reached else labels[i]
        if best != labels[i]:
            expected[i] = int(best)
    result = doubtful(labels, p)
    assert dict(result) == expected and 20 < len(expected) < 180
    margins = [p[i, labels[i]] - p[i, j] for i, j in result]
    assert margins == sorted(margins)


def test_wrong_labels_come_first() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 5, 300)
    p = rng.dirichlet(np.ones(5), 300) * 0.5 + np.eye(5)[truth] * 0.5
    labels = truth.copy()
    labels[:15] = (labels[:15] + 1) % 5
    result = doubtful(labels, p)
    assert sum(i < 15 for i, _ in result) >= 7
    assert all(i < 15 and truth[i] == j for i, j in result[:7])


def test_a_class_without_labels_is_never_the_likelier_one() -> None:
    assert doubtful(np.array([0, 0]), np.array([[0.1, 0.9], [0.2, 0.8]])) == []
    assert doubtful(np.zeros(0, np.int64), np.zeros((0, 2))) == []
