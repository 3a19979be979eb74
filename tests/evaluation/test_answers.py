"""Answers by level: the report against counts by hand, and the words of an answer."""

from __future__ import annotations

import numpy as np
import pytest

from wingbar.data.sample import Taxonomy
from wingbar.evaluation.answers import answers_report
from wingbar.opam.taxonomy import fit_lineages
from wingbar.prediction import Prediction, of_one_occasion

CLASSES = ("001.Herring_gull", "002.Lesser_gull", "003.Common_tern")
GENERA = Taxonomy(("genus",), dict(zip(CLASSES, [("Larus",), ("Larus",), ("Sterna",)], strict=True)))


def predictions(*scores: tuple[float, float, float]) -> list[Prediction]:
    """Of a model that tells terns for certain, and gulls apart in four of five pictures."""
    held_out = [(0.8, 0.2, 0.0)] * 100 + [(0.0, 0.0, 1.0)] * 100
    labels = np.array([0] * 80 + [1] * 20 + [2] * 100)
    lineages = fit_lineages(GENERA, CLASSES, np.array(held_out, np.float32), labels)
    named = [sorted(zip(CLASSES, row, strict=True), key=lambda item: -item[1]) for row in scores]
    return [Prediction("a.jpg", (9, 9), dict(row), lineages=lineages) for row in named]


def test_the_words_say_what_is_enough_and_what_is_not() -> None:
    gull, tern, nothing = predictions((0.8, 0.2, 0), (0, 0, 1), (0.4, 0.3, 0.3))
    assert (tern.answer().name, tern.answer().level, tern.answer().classes) == (CLASSES[2], "class", (CLASSES[2],))
    assert (gull.answer(0.9).name, gull.answer(0.9).level, gull.answer(0.9).classes) == ("Larus", "genus", CLASSES[:2])
    assert gull.answer(0.75).name == CLASSES[0]
    assert nothing.answer().name is None
    assert nothing.answer().text == (
        "No answer is right 95 times in 100. Class Herring gull: 40.0%, at least 100.0% needed. "
        "Genus Larus: 70.0%, at least 100.0% needed."
    )
    assert tern.answer().text.startswith("Right 95 times in 100: Common tern (class). Class Common tern: 100.0%, at ")
    assert of_one_occasion([gull, gull], accuracy=0.9)["answer"]["classes"] == list(CLASSES[:2])
    assert tern.worth_telling() is None and nothing.worth_telling() is not None


def test_the_shares_are_those_of_the_answers() -> None:
    predicted = predictions((0.8, 0.2, 0), (0.2, 0.8, 0), (0, 0, 1), (0.4, 0.3, 0.3))
    report = answers_report(predicted, [CLASSES[0], CLASSES[0], CLASSES[2], CLASSES[0]], 0.95)
    assert report is not None
    by_class, by_genus = report.levels["class"], report.levels["genus"]
    assert (by_class.share, by_genus.share, report.any_level.share) == (0.25, 0.5, 0.75)
    assert [one.right.value for one in (by_class, by_genus) if one.right] == [1, 1]
    assert report.cut_off.share == 0.25
    assert answers_report([Prediction("a.jpg", (9, 9), {"a": 1.0})], ["a"]) is None
    with pytest.raises(ValueError, match="accuracy"):
        predicted[0].answer(1.5)
