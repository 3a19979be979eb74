"""Fusion of the streams (OPAM, equation 12): score = alpha * picture + beta * object + gamma * parts.

The paper finds the weights by k-fold cross-validation on training data. A net's scores on pictures that it
was trained on are saturated and say nothing of how far to trust it, so ours are found on pictures held out of
all training. In each fold the weights maximise the likelihood of the labels under the mixture, which is a
concave problem on the simplex, solved by expectation-maximisation; the folds' weights are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.model_selection import KFold


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


def fit_weights(
    scores: Float[ndarray, "streams n classes"], labels: Int[ndarray, "n"], folds: int = 5, seed: int = 0
) -> Float[ndarray, "streams"]:
    """Fusion weights on the simplex, from probabilities of pictures that no stream was trained on.

    With fewer pictures than two a fold the weights are equal.
    """
    return np.array(cross_validate(scores, labels, folds, seed).weights)


def cross_validate(
    scores: Float[ndarray, "streams n classes"], labels: Int[ndarray, "n"], folds: int = 5, seed: int = 0
) -> FusionFit:
    """`fit_weights` with the accuracy on the held-out folds."""
    streams, count = scores.shape[:2]
    if count < 2 * folds:
        equal = np.full(streams, 1 / streams)
        accuracy = float((fuse(scores, equal).argmax(-1) == labels).mean()) if count else float("nan")
        return FusionFit(tuple(equal), accuracy)
    own = np.take_along_axis(scores, labels[None, :, None], axis=2)[..., 0]
    weights, correct = [], np.zeros(count, bool)
    for fitted, held in KFold(folds, shuffle=True, random_state=seed).split(labels):
        weights.append(mixture_weights(own[:, fitted]))
        correct[held] = fuse(scores[:, held], weights[-1]).argmax(-1) == labels[held]
    mean = np.mean(weights, axis=0)
    return FusionFit(tuple(mean / mean.sum()), float(correct.mean()))


def mixture_weights(own: Float[ndarray, "streams n"], steps: int = 500) -> Float[ndarray, "streams"]:
    """Weights maximising sum_i log sum_s w_s p_s(label_i); ``own`` holds p_s(label_i)."""
    weights = np.full(len(own), 1 / len(own))
    own = np.maximum(own, 1e-12)
    for _ in range(steps):
        joint = weights[:, None] * own
        weights = (joint / joint.sum(0)).mean(1)
    return weights
