"""The choice of what a field guide shows, by the recogniser's scores: pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import binomtest

PARTNERS = 2
"""The largest number of classes that a class is compared with on pages of their own, because of its errors."""


def best(scores: Float[ndarray, "n"], count: int) -> list[int]:
    """Indices of the ``count`` highest scores, highest first; equal scores keep their order."""
    return np.argsort(-scores, kind="stable")[:count].tolist()


def best_marks(
    scores: Float[ndarray, "parts"],
    clusters: Int[ndarray, "parts"],
    owners: Int[ndarray, "parts"],
    cluster: int,
    count: int,
) -> list[int]:
    """Indices of the ``count`` highest-scoring parts of a cluster, at most one of each picture.

    ``clusters`` and ``owners`` are the cluster and the picture of each part.
    """
    chosen: list[int] = []
    for place in best(scores, len(scores)):
        if clusters[place] == cluster and owners[place] not in owners[chosen]:
            chosen.append(place)
    return chosen[:count]


def likeness(means: Float[ndarray, "classes classes"]) -> Float[ndarray, "classes classes"]:
    """Similarity of two classes: the mean of the score of either class on pictures of the other; -1 on the diagonal.

    Row c of ``means`` holds the mean scores of all classes over the pictures of class c.
    """
    alike = (means + means.T) / 2
    np.fill_diagonal(alike, -1)
    return alike


def confusion(labels: Sequence[int], predicted: Sequence[int], classes: int) -> Int[ndarray, "true named"]:
    """The confusion matrix: the number of pictures for each true class and each predicted class."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (np.array(labels, int), np.array(predicted, int)), 1)
    return table


def pairs_to_compare(
    confused: Int[ndarray, "true named"], alike: Float[ndarray, "classes classes"]
) -> list[tuple[int, int]]:
    """The pairs (a < b) of classes that get a page of their own, the most confused first.

    Each class contributes the `PARTNERS` classes that it is most often confused with or, if it is never confused, the
    class that is most similar to it. So there are at most twice as many pairs as classes.
    """
    errors = confused + confused.T
    np.fill_diagonal(errors, 0)
    pairs = set()
    for label in range(len(errors)):
        partners = [partner for partner in best(errors[label].astype(float), PARTNERS) if errors[label, partner]]
        for partner in partners or [int(alike[label].argmax())]:
            pairs.add((min(label, partner), max(label, partner)))
    return sorted(pairs, key=lambda pair: (-errors[pair], -alike[pair], pair))


def share_interval(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of the share ``right / count`` (Wilson, JASA 1927).

    It is also valid for small counts, and where all or none are right.
    """
    interval = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
