"""Figures by occasion: ten frames of one bird count as one, which is how many birds were named.

Where each occasion shows one class, its pictures are also answered together: by the mean of their log scores
(`opam.pooling.pool_occasion`), by the surest picture, and by the class that most pictures are named.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar.evaluation.bootstrap import Estimate, mean_interval
from wingbar.opam.pooling import pool_occasion


@dataclass(frozen=True)
class OccasionsReport:
    """Top-1 where each occasion counts once, with intervals over occasions."""

    occasions: int
    top1: Estimate
    """Mean over occasions of the share of pictures that are named rightly."""
    several: int
    """Occasions of one class with two pictures or more, which the following are about."""
    together: Estimate | None
    """Share of them that is named rightly by all pictures together."""
    surest: Estimate | None
    """By the picture with the largest score."""
    most: Estimate | None
    """By the class that most pictures are named, of several such by the surer one."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)


def occasions_report(
    scores: Float[ndarray, "n classes"], labels: Int[ndarray, "n"], groups: Int[ndarray, "n"], seed: int = 0
) -> OccasionsReport | None:
    """The figures of pictures in ``groups``; None where each is alone."""
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    if len(members) == len(labels):
        return None
    right = scores.argmax(1) == labels
    several = [rows for rows in members if len(rows) > 1 and len(set(labels[rows].tolist())) == 1]
    answers = np.array([_answers(scores[rows]) for rows in several], np.int64).reshape(-1, 3)
    hits = answers == np.array([labels[rows[0]] for rows in several], np.int64)[:, None]
    together, surest, most = (mean_interval(column, seed) if len(several) else None for column in hits.T)
    top1 = mean_interval(np.array([right[rows].mean() for rows in members]), seed)
    return OccasionsReport(len(members), top1, len(several), together, surest, most)


def _answers(scores: Float[ndarray, "pictures classes"]) -> tuple[int, int, int]:
    """The class by all pictures together, by the surest one, and by most of them."""
    named = Counter(scores.argmax(1).tolist())
    most = max(named, key=lambda label: (named[label], scores[:, label].max()))
    return int(pool_occasion(scores).argmax()), int(scores.max(0).argmax()), most
