"""What a field guide shows, chosen from the recogniser's scores. Pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.stats import binomtest

PARTNERS = 2
"""Classes that each class gets a page of comparison with, at most, by its own errors."""


def best(scores: Float[ndarray, "n"], count: int) -> list[int]:
    """Places of the highest scores, highest first; ties in order."""
    return np.argsort(-scores, kind="stable")[:count].tolist()


def best_marks(
    scores: Float[ndarray, "parts"],
    clusters: Int[ndarray, "parts"],
    owners: Int[ndarray, "parts"],
    cluster: int,
    count: int,
) -> list[int]:
    """The highest-scoring parts of a cluster, at most one of each picture."""
    chosen: list[int] = []
    for place in best(scores, len(scores)):
        if clusters[place] == cluster and owners[place] not in owners[chosen]:
            chosen.append(place)
    return chosen[:count]


def likeness(means: Float[ndarray, "classes classes"]) -> Float[ndarray, "classes classes"]:
    """How alike two classes look to the recogniser: the mean score of either on pictures of the other; own: -1."""
    alike = (means + means.T) / 2
    np.fill_diagonal(alike, -1)
    return alike


def confusion(labels: Sequence[int], predicted: Sequence[int], classes: int) -> Int[ndarray, "true named"]:
    """How many pictures of each class are called what."""
    table = np.zeros((classes, classes), np.int64)
    np.add.at(table, (np.array(labels, int), np.array(predicted, int)), 1)
    return table


def pairs_to_compare(
    confused: Int[ndarray, "true named"], alike: Float[ndarray, "classes classes"]
) -> list[tuple[int, int]]:
    """Pairs (a < b) with a page of their own, the most confused first.

    Each class brings the two it is confused with most, or where there is none the one that looks most like it;
    so there are at most twice as many pairs as classes.
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
    """Wilson's 95 % interval of a share (Wilson, JASA 1927): sensible for few pictures and for all or none right."""
    interval = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
