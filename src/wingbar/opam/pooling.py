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

PRIOR = 1000
"""Pictures that have to speak for other weights as loudly as equal weights do."""


@dataclass(frozen=True)
class Pooling:
    """Weights and temperatures of the streams, in their order."""

    weights: tuple[float, ...]
    temperatures: tuple[float, ...]


def pool(logits: Float[ndarray, "streams *n classes"], pooling: Pooling) -> Float32[ndarray, "*n classes"]:
    """The pooled probabilities.

    Of streams' probabilities their logarithms may be given, with temperatures of one.
    """
    scaled = [log_softmax(stream / t) for stream, t in zip(logits, pooling.temperatures, strict=True)]
    return np.exp(log_softmax(np.tensordot(pooling.weights, scaled, axes=1))).astype(np.float32)


def log_softmax(logits: Float[ndarray, "*n classes"]) -> Float[ndarray, "*n classes"]:
    """Logarithms of probabilities."""
    centred = logits - logits.max(-1, keepdims=True)
    return centred - np.log(np.exp(centred).sum(-1, keepdims=True))


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
    scaled = np.stack([log_softmax(stream / t) for stream, t in zip(logits, temperatures, strict=True)])
    likeliest = _likeliest(scaled, labels)
    weights = (count * likeliest + PRIOR * equal) / (count + PRIOR)
    return Pooling(tuple(map(float, weights)), tuple(temperatures))


def fit_temperature(logits: Float[ndarray, "n classes"], labels: Int[ndarray, "n"]) -> float:
    """The temperature in [0.05, 20] with the least mean negative log likelihood."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return _loss(logits / np.exp(log_temperature), labels)

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x))


def _likeliest(scaled: ndarray, labels: Int[ndarray, "n"]) -> Float[ndarray, "streams"]:
    """Weights on the simplex with the least loss of the pooled answer, by a softmax of free numbers."""
    from scipy.optimize import minimize

    def loss(free: ndarray) -> float:
        weights = np.exp(log_softmax(free))
        return _loss(np.tensordot(weights, scaled, axes=1), labels)

    start, bounds = np.zeros(len(scaled)), [(-5, 5)] * len(scaled)
    return np.exp(log_softmax(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x))


def _loss(logits: ndarray, labels: Int[ndarray, "n"]) -> float:
    return float(-log_softmax(logits)[np.arange(len(labels)), labels].mean())
