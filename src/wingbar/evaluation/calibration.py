"""Whether scores mean what they say: of a hundred answers with a score of 0.8, eighty should be right.

* NLL: the mean of -log p(true class). Brier: the mean over pictures of sum_c (p_c - [c is true])^2, in [0, 2]. Both are
  proper scores: no other probabilities are better than the true ones (Gneiting and Raftery, 2007).
* ECE: answers are sorted by their score and cut into `BINS` bins of equal size; the mean over bins of |share right -
  mean score| (Naeini, Cooper, Hauskrecht, AAAI 2015; equal mass as Nixon et al., CVPR workshops 2019). It is never zero
  for finitely many pictures.
* Sets: the share of pictures whose true class is among the candidates (`opam.candidates`), and how many these are.
* Coverage: the share right among the surest answers, where only so many are taken (Geifman and El-Yaniv, NeurIPS 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from wingbar.evaluation.bootstrap import Estimate, interval_of, mean_interval
from wingbar.opam.calibration import LEAST, mean_loss

BINS = 15
COVERAGES = (0.5, 0.8, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class CalibrationReport:
    """How far to believe the scores."""

    mean_score: float
    """Of the classes named."""
    nll: float
    """In nats."""
    brier: float
    ece: Estimate
    """In [0, 1]."""
    reliability: tuple[tuple[float, float, int], ...]
    """Mean score, share right and number of pictures of each bin, the least sure first."""
    coverage: dict[str, float]
    """Share of the pictures that are answered, the surest first -> share of them that are right."""
    sets: Estimate | None
    """Share of the pictures whose true class is among the candidates, of which nine in ten are promised."""
    sets_by_class: tuple[float | None, ...]
    """The same share of each class; None of one without pictures. Empty without candidates."""
    set_size: float | None
    """Classes among the candidates, mean over pictures."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)


def calibration_report(
    probabilities: Float[ndarray, "n classes"],
    labels: Int[ndarray, "n"],
    candidates: Sequence[Sequence[int]] | None = None,
    seed: int = 0,
) -> CalibrationReport:
    """All figures of one set of scores, and of the ``candidates``, classes of each picture, where there are any.

    Raises ValueError without pictures.
    """
    scores, right = probabilities.max(1).astype(float), probabilities.argmax(1) == labels
    surest = np.argsort(-scores, kind="stable")
    held = None if candidates is None else [label in some for label, some in zip(labels, candidates, strict=True)]
    return CalibrationReport(
        mean_score=float(scores.mean()),
        nll=mean_loss(np.log(np.maximum(probabilities, LEAST)), labels),
        brier=float(((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(1).mean()),
        ece=interval_of(lambda chosen: expected_error(scores[chosen], right[chosen]), len(labels), seed),
        reliability=tuple(
            (float(scores[rows].mean()), float(right[rows].mean()), len(rows)) for rows in equal_bins(scores)
        ),
        coverage={
            f"{share:g}": float(right[surest[: max(round(share * len(labels)), 1)]].mean()) for share in COVERAGES
        },
        sets=None if held is None else mean_interval(np.array(held), seed),
        sets_by_class=() if held is None else _by_class(np.array(held), labels, probabilities.shape[1]),
        set_size=None if candidates is None else float(np.mean([len(some) for some in candidates])),
    )


def _by_class(values: Bool[ndarray, "n"], labels: Int[ndarray, "n"], classes: int) -> tuple[float | None, ...]:
    return tuple(float(values[labels == k].mean()) if (labels == k).any() else None for k in range(classes))


def expected_error(scores: Float[ndarray, "n"], right: Bool[ndarray, "n"]) -> float:
    """ECE of answers with these scores, in bins of equal size."""
    gaps = [len(rows) * abs(float(right[rows].mean() - scores[rows].mean())) for rows in equal_bins(scores)]
    return sum(gaps) / len(scores)


def equal_bins(scores: Float[ndarray, "n"]) -> Sequence[Int[ndarray, "_"]]:
    """Indices of at most `BINS` bins of as many answers each, by their scores, ascending."""
    order = np.argsort(scores, kind="stable")
    return [rows for rows in np.array_split(order, BINS) if len(rows)]
