"""Fusion of the streams (OPAM, equation 12): score = alpha * picture + beta * object + gamma * parts.

The paper finds the weights by k-fold cross-validation on training data. A net's scores on pictures that it
was trained on are saturated and say nothing of how far to trust it, so ours are found on pictures held out of
all training. For each fold the other folds' pictures choose: of all weights on a grid over the simplex the mean of
those that name most pictures rightly (many do equally well; their mean is the least extreme choice). The folds'
weights are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar.data.splits import random_folds

GRID_STEPS = 20


@dataclass(frozen=True)
class FusionFit:
    """Weights with what the cross-validation says of them."""

    weights: tuple[float, ...]
    held_out_accuracy: float
    """Top-1 of the fused scores on each fold, with weights from the other folds."""


def fuse(
    scores: Float[ndarray, "streams *n classes"], weights: Float[ndarray, "streams"]
) -> Float[ndarray, "*n classes"]:
    """The weighted sum of the streams' probabilities."""
    return np.tensordot(np.asarray(weights), scores, axes=1)


def cross_validate(
    scores: Float[ndarray, "streams n classes"],
    labels: Int[ndarray, "n"],
    groups: Int[ndarray, "n"] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> FusionFit:
    """Fusion weights on the simplex, from probabilities of pictures that no stream was trained on.

    Pictures of one of the ``groups`` are in one fold. With fewer pictures than two a fold, or a single group, the
    weights are equal.
    """
    streams, count = scores.shape[:2]
    cuts = random_folds(count, folds, seed, groups) if count >= 2 * folds else []
    if len(cuts) < 2:
        equal = np.full(streams, 1 / streams)
        accuracy = float((fuse(scores, equal).argmax(-1) == labels).mean()) if count else float("nan")
        return FusionFit(tuple(equal), accuracy)
    weights, correct = [], np.zeros(count, bool)
    for fitted, held in cuts:
        weights.append(best_weights(scores[:, fitted], labels[fitted]))
        correct[held] = fuse(scores[:, held], weights[-1]).argmax(-1) == labels[held]
    mean = np.mean(weights, axis=0)
    return FusionFit(tuple(mean / mean.sum()), float(correct.mean()))


def best_weights(scores: Float[ndarray, "streams n classes"], labels: Int[ndarray, "n"]) -> Float[ndarray, "streams"]:
    """The mean of all weights on the grid that name most pictures rightly."""
    grid = simplex_grid(len(scores))
    right = np.array([(fuse(scores, weights).argmax(-1) == labels).sum() for weights in grid])
    return grid[right == right.max()].mean(0)


def simplex_grid(streams: int, steps: int = GRID_STEPS) -> Float[ndarray, "points streams"]:
    """All weights in ``steps``-ths that add up to one."""
    cuts = combinations(range(steps + streams - 1), streams - 1)
    bars = np.array([(-1, *cut, steps + streams - 1) for cut in cuts])
    return (np.diff(bars, axis=1) - 1) / steps
