"""Logarithmic opinion pooling of streams: a weighted mean of log probabilities, with a temperature for each stream.

    log p = sum_s w_s log softmax(z_s / T_s) + const,      w_s >= 0, sum_s w_s = 1

T_s is the temperature that maximises the likelihood of stream s on pictures that no net was trained on (Guo et al., "On
calibration of modern neural networks", ICML 2017). The weights are shrunk towards equal weights:

    w = (n w* + k e) / (n + k)

w* are the weights that maximise the likelihood of the pooled probabilities, e are equal weights, n is the number of
pictures, and k is `PRIOR`. The streams come from the same net on views of the same picture, and their likelihoods on a
few hundred pictures hardly differ with the weights, so w* alone is not reliable. OPAM's fusion (`fusion`) chooses the
weights by the number of correct answers, which is even less reliable with so few pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.special import log_softmax

from wingbar.opam.calibration import LEAST, fit_temperature, mean_loss, softmax

PRIOR = 1000
"""The number of pictures at which the fitted weights count as much as equal weights."""


@dataclass(frozen=True)
class Pooling:
    """The weight and the temperature of each stream, in the order of the streams."""

    weights: tuple[float, ...]
    temperatures: tuple[float, ...]


def pool(scores: Float[ndarray, "streams *n classes"], weights: Sequence[float]) -> Float32[ndarray, "*n classes"]:
    """The pooled probabilities; ``scores`` are the streams' log probabilities."""
    return softmax(np.tensordot(np.asarray(weights), scores, axes=1))


def pool_occasion(scores: Float[ndarray, "pictures classes"]) -> Float32[ndarray, "classes"]:
    """The probabilities of pictures of one and the same thing together: their logarithms' mean.

    Frames of one occasion agree and err together, so they count as one picture: a product of ten would be ten times
    as sure.
    """
    return softmax(np.log(np.maximum(scores, LEAST)).mean(0))


def log_scores(
    logits: Float[ndarray, "streams *n classes"], temperatures: Sequence[float]
) -> Float[ndarray, "streams *n classes"]:
    """The log probabilities of each stream at its temperature."""
    return np.stack([log_softmax(stream / t, axis=-1) for stream, t in zip(logits, temperatures, strict=True)])


def fit_pooling(
    logits: Float[ndarray, "streams n classes"], labels: Int[ndarray, "n"], views: Sequence[int]
) -> Pooling:
    """Fit temperatures and weights to pictures that no net was trained on.

    ``views`` is the number of views that each stream combines. Equal weights give each view, not each stream, the same
    weight. Without pictures they are returned, with temperatures of 1.
    """
    streams, count = logits.shape[:2]
    equal = np.array(views) / sum(views)
    if count == 0:
        return Pooling(tuple(equal), (1.0,) * streams)
    temperatures = [fit_temperature(stream, labels) for stream in logits]
    likeliest = _likeliest(log_scores(logits, temperatures), labels)
    weights = (count * likeliest + PRIOR * equal) / (count + PRIOR)
    return Pooling(tuple(map(float, weights)), tuple(temperatures))


def _likeliest(scores: ndarray, labels: Int[ndarray, "n"]) -> Float[ndarray, "streams"]:
    """The weights with the least loss of the pooled probabilities; they are parametrised as a softmax."""
    from scipy.optimize import minimize

    def loss(free: ndarray) -> float:
        return mean_loss(np.tensordot(np.exp(log_softmax(free)), scores, axes=1), labels)

    start, bounds = np.zeros(len(scores)), [(-5, 5)] * len(scores)
    return np.exp(log_softmax(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x))
