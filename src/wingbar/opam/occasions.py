"""What a random split flatters by, where pictures were taken together.

    share named rightly in random folds - share named rightly in folds that part no occasion

A ridge classifier on standardised features of the weights that a training starts from, each picture named by a fit
without it. Ten frames of one bird on both sides of a cut are named by each other; by the occasion they are not.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar.data.splits import folds

FOLDS = 5
MOST = 2000
"""Pictures that it is told from, at most; occasions are drawn, and of the last one perhaps a part."""


def random_and_grouped(
    features: Float[ndarray, "n channels"], labels: Int[ndarray, "n"], groups: Int[ndarray, "n"], seed: int
) -> tuple[float, float]:
    """The share named rightly in random folds, and in folds by ``groups``. Raises DataError for too few pictures."""
    random, grouped = (_named_rightly(features, labels, folds(labels, FOLDS, seed, cut)) for cut in (None, groups))
    return random, grouped


def sampled(labels: Int[ndarray, "n"], groups: Int[ndarray, "n"], seed: int) -> Int[ndarray, "m"]:
    """Pictures to tell it from, ascending: occasion by occasion `MOST` at most, and of each class two or none."""
    order = np.random.default_rng(seed).permutation(groups.max() + 1)
    rank = np.argsort(order)[groups]
    some = np.sort(np.argsort(rank, kind="stable")[:MOST])
    counts = np.bincount(labels[some], minlength=labels.max() + 1)
    return some[counts[labels[some]] > 1]


def _named_rightly(
    features: ndarray, labels: Int[ndarray, "n"], cuts: list[tuple[Int[ndarray, "_"], Int[ndarray, "_"]]]
) -> float:
    from sklearn.linear_model import RidgeClassifier  # as models are learnt only

    right = 0
    for fitted, held in cuts:
        mean, deviation = features[fitted].mean(0), features[fitted].std(0) + 1e-6
        model = RidgeClassifier(alpha=len(fitted)).fit((features[fitted] - mean) / deviation, labels[fitted])
        right += int((model.predict((features[held] - mean) / deviation) == labels[held]).sum())
    return right / len(labels)
