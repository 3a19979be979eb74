"""Figures against scikit-learn and hand-computed cases."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics

from wingbar.evaluation.classification import classify, correct, label_ranks, stream_combinations
from wingbar.evaluation.tables import percent, percent_interval, render

NAMES = tuple("abcdefgh")


def some_scores(n: int = 300, classes: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    scores = np.exp(logits)
    return scores / scores.sum(1, keepdims=True), labels


@pytest.mark.parametrize("seed", range(3))
def test_accuracies_equal_those_of_sklearn(seed: int):
    scores, labels = some_scores(seed=seed)
    report = classify(scores, labels, NAMES)
    for k, ours in ((1, report.top1), (5, report.top5)):
        assert ours == pytest.approx(metrics.top_k_accuracy_score(labels, scores, k=k))
    assert report.macro_recall == pytest.approx(metrics.balanced_accuracy_score(labels, scores.argmax(1)))


def test_classes_equal_those_of_sklearn():
    scores, labels = some_scores()
    report = classify(scores, labels, NAMES)
    precision, recall, _, count = metrics.precision_recall_fscore_support(labels, scores.argmax(1))
    assert [c.name for c in report.per_class] == list(NAMES)
    assert [c.count for c in report.per_class] == count.tolist()
    np.testing.assert_allclose([c.recall for c in report.per_class], recall)
    np.testing.assert_allclose([c.precision for c in report.per_class], precision)


def test_confusions_equal_those_of_sklearn():
    scores, labels = some_scores()
    matrix = metrics.confusion_matrix(labels, scores.argmax(1))
    pairs = classify(scores, labels, NAMES).confused
    assert [p.count for p in pairs] == sorted((p.count for p in pairs), reverse=True)
    assert pairs[0].count == max(matrix[a, b] + matrix[b, a] for a in range(8) for b in range(a))
    for pair in pairs:
        a, b = NAMES.index(pair.first), NAMES.index(pair.second)
        assert a < b
        assert (pair.first_as_second, pair.second_as_first) == (matrix[a, b], matrix[b, a])
        assert pair.count == matrix[a, b] + matrix[b, a]


def test_hand_computed_confusions_in_the_order_of_the_classes():
    # truth -> named: a->b, b->a, c->b, d->c, and one right.
    labels, named = np.array([0, 1, 2, 3, 0]), np.array([1, 0, 1, 2, 0])
    report = classify(np.eye(4)[named], labels, "abcd")
    result = [(p.first, p.second, p.count, p.first_as_second, p.second_as_first) for p in report.confused]
    assert result == [("a", "b", 2, 1, 1), ("b", "c", 1, 0, 1), ("c", "d", 1, 0, 1)]


def test_a_class_without_test_pictures_does_not_lower_the_macro_recall():
    report = classify(np.eye(3)[[0, 0, 1]], np.array([0, 0, 1]), "abc")
    assert report.macro_recall == 1
    assert report.per_class[2].recall is None
    assert report.per_class[2].precision is None


def test_equal_scores_are_right_about_the_first_class_only():
    report = classify(np.full((8, 8), 1 / 8), np.arange(8), NAMES)
    assert report.top1 == 1 / 8
    assert report.top5 == 5 / 8


def test_fewer_than_five_classes():
    scores, labels = some_scores(classes=3)
    assert classify(scores, labels, "abc").top5 == 1


@given(arrays.arrays(np.float64, (6, 4), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.integers(0, 99))
def test_ranks_equal_those_of_a_stable_sort(scores: np.ndarray, seed: int):
    labels = np.random.default_rng(seed).integers(4, size=6)
    order = np.argsort(-scores, axis=1, kind="stable")
    expected = [list(row).index(label) for row, label in zip(order, labels, strict=True)]
    assert label_ranks(scores, labels).tolist() == expected
    assert (correct(scores, labels) == (scores.argmax(1) == labels)).all()


def test_the_interval_is_seeded_and_holds_the_figure():
    scores, labels = some_scores()
    report = classify(scores, labels, NAMES, seed=1)
    assert report == classify(scores, labels, NAMES, seed=1)
    low, high = report.top1_interval
    assert low < report.top1 < high


def test_the_report_is_json():
    scores, labels = some_scores()
    report = classify(scores, labels, NAMES).to_dict()
    read = json.loads(json.dumps(report, allow_nan=False))
    assert read["top1"] == report["top1"]
    assert read["per_class"][0]["name"] == "a"


@pytest.mark.parametrize(
    ("scores", "labels", "classes", "says"),
    [
        (np.array([[np.nan, 1.0]]), [0], "ab", "no numbers"),
        (np.array([[0.5, 0.5]]), [2], "ab", "labels reach"),
        (np.array([[0.5, 0.5]]), [-1], "ab", "labels reach"),
        (np.array([[0.5, 0.5]]), [0], "abc", "3 class names"),
        (np.empty((0, 2)), [], "ab", "no pictures"),
    ],
)
def test_what_cannot_be_judged(scores: np.ndarray, labels: list[int], classes: str, says: str):
    with pytest.raises(ValueError, match=says):
        classify(scores, np.array(labels, dtype=int), classes)


def test_combinations_by_hand():
    labels = np.array([0, 0, 1, 1])
    scores = {
        "picture": np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]]),
        "object": np.array([[0.2, 0.8], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8]]),
        "parts": np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]]),
    }
    weights = {"picture": 0.5, "object": 0.5, "parts": 0.0}

    def fused(chosen: Mapping[str, np.ndarray]) -> np.ndarray:
        total = sum(weights[name] for name in chosen) or 1.0
        return sum(weights[name] / total * stream for name, stream in chosen.items())

    result = stream_combinations(scores, fused, labels)
    assert result == {
        "picture": 0.5,
        "object": 0.75,
        "parts": 0.5,  # of no weight: all classes score alike, and the first is named
        "picture+object": 1.0,
        "picture+parts": 0.5,  # weight 0: the picture decides
        "object+parts": 0.75,
        "picture+object+parts": 1.0,
    }


def test_a_table():
    table = render(["method", "top-1"], [["plain", percent(0.5)], ["a|b", percent_interval(0.8333, 0.8, 0.9)]])
    assert table.splitlines() == [
        "| method |                 top-1 |",
        "| ------ | --------------------: |",
        "| plain  |                50.0 % |",
        "| a\\|b   | 83.3 % (80.0 to 90.0) |",
    ]
    assert percent(None) == "-"
    assert len(render(["x"], []).splitlines()) == 2
    with pytest.raises(ValueError, match="2 cells"):
        render(["a", "b"], [["1"]])
