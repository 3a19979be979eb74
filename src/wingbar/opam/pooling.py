"""Pooling of streams that all know something: a weighted mean of their logarithms, with a temperature each.

    log p = sum_s w_s log softmax(z_s / T_s) + const,      w_s >= 0, sum_s w_s = 1

T_s is the temperature that makes stream s likeliest on pictures that no net has learnt from (Guo et al., ICML 2017).
The weights are shrunk towards equal ones by how little the data say: w = (n w* + k e) / (n + k), with w* the weights
that make the pooled answer likeliest, e equal weights, n the pictures and k = `PRIOR` of them. A few hundred pictures
cannot tell weights apart that the same net gives on views of the same picture; equal weights are the default that data
must speak against. OPAM's fusion (`fusion`) picks weights by counting right answers, which is noise at that size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.special import log_softmax

from wingbar.opam.calibration import fit_temperature, mean_loss, softmax

PRIOR = 1000
"""Pictures that have to speak for other weights as loudly as equal weights do."""


@dataclass(frozen=True)
class Pooling:
    """Weights and temperatures of the streams, in their order."""

    weights: tuple[float, ...]
    temperatures: tuple[float, ...]


def pool(scores: Float[ndarray, "streams *n classes"], weights: Sequence[float]) -> Float32[ndarray, "*n classes"]:
    """Probabilities of streams together, from the logarithm of each stream's probabilities."""
    return softmax(np.tensordot(np.asarray(weights), scores, axes=1))


def log_scores(
    logits: Float[ndarray, "streams *n classes"], temperatures: Sequence[float]
) -> Float[ndarray, "streams *n classes"]:
    """The logarithm of each stream's probabilities, at its temperature."""
    return np.stack([log_softmax(stream / t, axis=-1) for stream, t in zip(logits, temperatures, strict=True)])


def fit_pooling(
    logits: Float[ndarray, "streams n classes"], labels: Int[ndarray, "n"], views: Sequence[int]
) -> Pooling:
    """Temperatures and weights from pictures that no net has learnt from.

    Equal weights are those that weigh each of a stream's ``views`` alike; they are used where there are no pictures.
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
    """Weights on the simplex with the least loss of the pooled answer, by a softmax of free numbers."""
    from scipy.optimize import minimize

    def loss(free: ndarray) -> float:
        return mean_loss(np.tensordot(np.exp(log_softmax(free)), scores, axes=1), labels)

    start, bounds = np.zeros(len(scores)), [(-5, 5)] * len(scores)
    return np.exp(log_softmax(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x))
