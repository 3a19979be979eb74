"""Answers at an accuracy: the promise on fresh pictures, the rule by hand, groups learnt from confusions."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import softmax

from wingbar.data.sample import Taxonomy
from wingbar.opam.taxonomy import KEPT, PRIOR, Lineages, climb, fit_lineages, least_score, look_alikes, thresholds

CLASSES = tuple("abcdefgh")
GENERA = Taxonomy(("genus", "family"), {name: (str(i // 2), str(i // 4)) for i, name in enumerate(CLASSES)})


def drawn(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated scores in which classes of a genus are alike, and labels drawn from them."""
    genus = 3 * rng.normal(size=(count, 4)).repeat(2, 1)
    scores = softmax(genus + rng.normal(size=(count, 8)), -1)
    return scores.astype(np.float32), np.array([rng.choice(8, p=row / row.sum()) for row in scores])


def ranked(row: np.ndarray) -> dict[str, float]:
    return {CLASSES[i]: float(row[i]) for i in np.argsort(-row)}


@pytest.mark.parametrize("accuracy", [0.8, 0.95])
def test_answers_are_right_as_often_as_asked_and_more_pictures_have_one(accuracy: float) -> None:
    rng = np.random.default_rng(0)
    right: list[list[bool]] = [[], [], []]
    for _ in range(20):
        lineages = fit_lineages(GENERA, CLASSES, *drawn(300, rng))
        scores, labels = drawn(200, rng)
        for row, label in zip(scores, labels, strict=True):
            tried, sure = climb(lineages, ranked(row), accuracy)
            if sure:
                right[tried[-1][0]].append(CLASSES[label] in tried[-1][1])
    assert len(right[1]) > 300
    for answers in right:
        assert not answers or np.mean(answers) >= accuracy - 3 * math.sqrt(0.05 / len(answers)) - 0.01


def test_the_threshold_is_that_of_the_formula() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    right = np.array([True, True, True, False, True])
    result = least_score(scores, right, 0.8)
    estimates = [(right[:n].sum() + PRIOR * scores[:n].mean()) / (n + PRIOR + 1) for n in range(1, 6)]
    assert result == scores[max(n for n in range(5) if estimates[n] >= 0.8)] == 0.8
    assert least_score(scores, right, 0.99) == math.inf == least_score(scores[:0], right[:0], 0.5)
    assert least_score(np.full(4, 0.9), np.array([True, True, True, False]), 0.85) == 0.9  # equal scores are not parted


def test_the_answer_lies_on_the_lineage_of_the_named_class() -> None:
    lineages = fit_lineages(GENERA, CLASSES, *drawn(300, np.random.default_rng(1)))
    needed = thresholds(lineages, 0.95)
    scores, _ = drawn(300, np.random.default_rng(2))
    for row in scores:
        tried, sure = climb(lineages, ranked(row), 0.95)
        for (level, members, score, _), (wider, others, more, _) in pairwise(tried):
            assert level < wider and members < others and score <= more and score < needed[level]
        assert CLASSES[row.argmax()] in tried[0][1] and sure == (tried[-1][2] >= needed[tried[-1][0]])


def test_groups_that_say_nothing_are_passed_over() -> None:
    names = ("a", "b", "c")
    groups = {"a": ("alone", "A", "all"), "b": ("", "A", "all"), "c": ("other", "B", "all")}
    lineages = fit_lineages(
        Taxonomy(("genus", "family", "order"), groups), names, np.eye(3, dtype=np.float32), np.arange(3)
    )
    assert lineages.lineage("a") == [(0, {"a"}), (2, {"a", "b"})]
    assert lineages.lineage("c") == [(0, {"c"})]
    assert lineages.scores[0] == (1, 0, 1, 0) and lineages.right == (0, 0, 0)
    with pytest.raises(ValueError, match="'d'"):
        lineages.lineage("d")


def test_without_held_out_pictures_there_is_no_answer() -> None:
    lineages = fit_lineages(GENERA, CLASSES, np.zeros((0, 0), np.float32), np.zeros(0, np.int64))
    assert thresholds(lineages, 0.5) == (math.inf,) * 3
    assert not climb(lineages, dict.fromkeys(CLASSES, 1 / 8), 0.5)[1]


def test_a_model_keeps_a_bounded_number_of_pictures() -> None:
    scores, labels = drawn(KEPT + 300, np.random.default_rng(3))
    lineages = fit_lineages(GENERA, CLASSES, scores, labels)
    assert len(lineages.scores) == len(lineages.right) == KEPT
    assert hash(lineages) == hash(Lineages(lineages.levels, lineages.rows, lineages.scores, lineages.right))


def test_look_alikes_are_the_classes_that_are_confused() -> None:
    names = tuple(f"00{i}.Bird_{i}" for i in range(8))
    scores, labels = drawn(400, np.random.default_rng(4))
    learnt = look_alikes(names, scores, labels)
    assert learnt.levels == ("look-alikes", "wider look-alikes")
    for pair in range(4):
        assert (
            learnt.groups[names[2 * pair]][0]
            == learnt.groups[names[2 * pair + 1]][0]
            == f"Bird {2 * pair}, Bird {2 * pair + 1}"
        )
    assert look_alikes(names[:8], scores[:0], labels[:0]).levels == ()
    assert look_alikes(names[:3], scores[:60, :3], labels[:60] % 3).levels == ()
