"""Classification: accuracy, recall, confusions, and the accuracy of each stream and combination of streams.

Of equal scores the class with the lower number ranks first, in top-1 and in top-5. So a net that gives all classes the
same score is right about pictures of one class only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from wingbar.evaluation.bootstrap import RESAMPLES, mean_interval

MOST_CONFUSED = 20


@dataclass(frozen=True)
class ClassScore:
    """One class: its number of test pictures, its recall and its precision."""

    name: str
    count: int
    recall: float | None
    """None without test pictures."""
    precision: float | None
    """None where the class is never named."""


@dataclass(frozen=True)
class Confusion:
    """The errors between two classes."""

    first: str
    second: str
    count: int
    """Errors both ways."""
    first_as_second: int
    second_as_first: int


@dataclass(frozen=True)
class ClassificationReport:
    """Shares in [0, 1]."""

    pictures: int
    top1: float
    top1_interval: tuple[float, float]
    """Bootstrap 95 % interval."""
    top5: float
    """With five classes and fewer always 1, so tables leave it out."""
    macro_recall: float
    """Mean recall of the classes that have test pictures."""
    per_class: tuple[ClassScore, ...]
    confused: tuple[Confusion, ...]
    """The most confused pairs, most errors first, then in the order of the classes."""

    def to_dict(self) -> dict[str, Any]:
        """The record as dictionaries, lists, strings and numbers."""
        return asdict(self)


def classify(
    probabilities: Float[ndarray, "n classes"],
    labels: Int[ndarray, "n"],
    classes: Sequence[str],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ClassificationReport:
    """All figures of one set of scores. Raises ValueError for infinite scores, or labels outside the classes."""
    if len(classes) != probabilities.shape[1]:
        raise ValueError(f"{len(classes)} class names for scores of {probabilities.shape[1]} classes")
    ranks = label_ranks(probabilities, labels)
    top1 = mean_interval(ranks == 0, seed, resamples)
    confusion = _confusion(probabilities.argmax(1), labels, len(classes))
    per_class = tuple(_class_score(name, k, confusion) for k, name in enumerate(classes))
    return ClassificationReport(
        pictures=len(labels),
        top1=top1.value,
        top1_interval=(top1.low, top1.high),
        top5=float((ranks < 5).mean()),
        macro_recall=float(np.mean([score.recall for score in per_class if score.recall is not None])),
        per_class=per_class,
        confused=_most_confused(confusion, classes),
    )


def label_ranks(scores: Float[ndarray, "n classes"], labels: Int[ndarray, "n"]) -> Int[ndarray, "n"]:
    """How many classes stand before the true one: 0 is a right answer.

    Raises ValueError for a score that is no number (it would count as a right answer) and for a label
    outside the classes.
    """
    if not np.isfinite(scores).all():
        raise ValueError("scores hold values that are no numbers")
    if len(labels) and not (labels.min() >= 0 and labels.max() < scores.shape[1]):
        raise ValueError(f"labels reach from {labels.min()} to {labels.max()}; there are {scores.shape[1]} classes")
    of_label = np.take_along_axis(scores, labels[:, None], 1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    return ((scores > of_label) | ((scores == of_label) & earlier)).sum(1)


def correct(scores: Float[ndarray, "n classes"], labels: Int[ndarray, "n"]) -> Bool[ndarray, "n"]:
    """Which predictions are right, as `paired_difference` and `error_reduction` take them."""
    return label_ranks(scores, labels) == 0


def stream_combinations(
    scores: Mapping[str, Float[ndarray, "n classes"]],
    fused: Callable[[Mapping[str, Float[ndarray, "n classes"]]], Float[ndarray, "n classes"]],
    labels: Int[ndarray, "n"],
) -> dict[str, float]:
    """Top-1 of each stream alone and of every combination, keyed ``"picture+object"``.

    ``fused`` puts streams together as the model does: with the weights fitted for all of them, not fitted anew.
    """
    groups = (group for size in range(1, len(scores) + 1) for group in combinations(scores, size))
    return {"+".join(group): _top1(fused({name: scores[name] for name in group}), labels) for group in groups}


def _top1(scores: Float[ndarray, "n classes"], labels: Int[ndarray, "n"]) -> float:
    return float(correct(scores, labels).mean())


def _confusion(predicted: Int[ndarray, "n"], labels: Int[ndarray, "n"], classes: int) -> Int[ndarray, "true named"]:
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _class_score(name: str, k: int, confusion: Int[ndarray, "true named"]) -> ClassScore:
    right, count, named = int(confusion[k, k]), int(confusion[k].sum()), int(confusion[:, k].sum())
    return ClassScore(name, count, right / count if count else None, right / named if named else None)


def _most_confused(confusion: Int[ndarray, "true named"], classes: Sequence[str]) -> tuple[Confusion, ...]:
    both = np.triu(confusion + confusion.T, k=1)
    pairs = sorted(np.argwhere(both).tolist(), key=lambda pair: -both[tuple(pair)])
    return tuple(
        Confusion(classes[a], classes[b], int(both[a, b]), int(confusion[a, b]), int(confusion[b, a]))
        for a, b in pairs[:MOST_CONFUSED]
    )
