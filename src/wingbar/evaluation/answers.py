"""Answers at an accuracy: how many pictures are told by class, by genus, by family or not at all, and how many rightly.

Without groups the answers by class are all that there are (flat abstention). Beside them stands a fixed cut-off: the
class where its score is at least the accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from wingbar.evaluation.bootstrap import Estimate, mean_interval
from wingbar.prediction import ACCURACY, Prediction


@dataclass(frozen=True)
class Answered:
    """Pictures that are answered in one way."""

    share: float
    """Of all pictures."""
    right: Estimate | None
    """Share of these that are answered rightly; None where there are none."""


@dataclass(frozen=True)
class AnswersReport:
    """How pictures are answered at an accuracy. Shares are in [0, 1]."""

    accuracy: float
    levels: dict[str, Answered]
    """``class``, ``genus``, ...: by the level of the answer. ``class`` alone is what flat abstention answers."""
    any_level: Answered
    """All answers together."""
    cut_off: Answered
    """By class or not at all, where its score is at least the accuracy."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)


def answers_report(
    predictions: Sequence[Prediction], labels: Sequence[str], accuracy: float = ACCURACY, seed: int = 0
) -> AnswersReport | None:
    """The figures of pictures of the classes ``labels``; None for a model that cannot keep the accuracy."""
    lineages = predictions[0].lineages if predictions and predictions[0].answers_at(accuracy) else None
    if lineages is None:
        return None
    answers = [prediction.answer(accuracy) for prediction in predictions]
    right = np.array([label in answer.classes for label, answer in zip(labels, answers, strict=True)])
    level = np.array([answer.level or "" for answer in answers])
    named = np.array([prediction.label == label for prediction, label in zip(predictions, labels, strict=True)])
    scores = np.array([prediction.score for prediction in predictions])
    return AnswersReport(
        accuracy,
        {name: _answered(level == name, right, seed) for name in lineages.levels},
        _answered(level != "", right, seed),
        _answered(scores >= accuracy, named, seed),
    )


def _answered(chosen: Bool[ndarray, "n"], right: Bool[ndarray, "n"], seed: int) -> Answered:
    return Answered(float(chosen.mean()), mean_interval(right[chosen], seed) if chosen.any() else None)
