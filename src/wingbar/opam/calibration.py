"""Calibration: of a hundred answers with a score of 0.8, eighty should be right.

    p = softmax(log(q) / T)

q are the probabilities of all streams together, T one temperature for all classes (Guo, Pleiss, Sun, Weinberger, "On
calibration of modern neural networks", ICML 2017): the one that makes the right answers likeliest on pictures that
neither the nets nor the weights of the streams have learnt from. The order of the classes does not change.

Streams of one net agree too much to be independent witnesses and too little to be one: their mean is too modest, their
product too sure. So T is fitted after they are put together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.special import log_softmax

from wingbar.data.splits import random_folds

FOLDS = 5
LEAST = 1e-30
"""Stands for a probability whose logarithm would be none."""
WIDEST = (0.05, 20.0)
"""Temperatures tried."""

Fold = tuple[Int[ndarray, "_"], Int[ndarray, "_"]]
"""Indices of held-out pictures: those to fit to, and the others, which are told by the fit."""
Fused = Callable[[Int[ndarray, "fitted"], Int[ndarray, "held"]], Float[ndarray, "held classes"]]
"""Probabilities of the pictures held, with weights of the streams from the pictures fitted."""


def softmax(logits: Float[ndarray, "*n classes"]) -> Float32[ndarray, "*n classes"]:
    """Probabilities of logits."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def calibrated(scores: Float[ndarray, "*n classes"], temperature: float) -> Float32[ndarray, "*n classes"]:
    """Probabilities at a temperature: below one they are surer, above one more modest, at one they stay to the bit."""
    if temperature == 1:
        return np.asarray(scores, np.float32)
    return softmax(np.log(np.maximum(scores, LEAST)) / temperature)


def fit_temperature(logits: Float[ndarray, "n classes"], labels: Int[ndarray, "n"]) -> float:
    """The temperature of `WIDEST` with the least mean negative log likelihood."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return mean_loss(logits / np.exp(log_temperature), labels)

    return float(np.exp(minimize_scalar(loss, bounds=np.log(WIDEST), method="bounded").x))


@dataclass(frozen=True, eq=False)
class Calibration:
    """The temperature of fused scores, and what it was fitted on."""

    temperature: float
    held_out: Float32[ndarray, "n classes"]
    """Calibrated scores of the held-out pictures, each by weights that have not seen it; none of few pictures."""


def fit_calibration(
    fused: Fused, labels: Int[ndarray, "n"], groups: Int[ndarray, "n"] | None = None, seed: int = 0
) -> Calibration:
    """Calibrate fused scores, each picture's with weights that have not seen it.

    ``fused`` gives the scores of some pictures with weights from others, never from others of the same of the
    ``groups``. Where pictures are too few for folds the temperature is one.
    """
    folds = held_folds(len(labels), seed, groups)
    if not folds:
        return Calibration(1.0, np.zeros((0, 0), np.float32))
    order = np.argsort(np.concatenate([held for _, held in folds]))
    scores = np.concatenate([fused(fitted, held) for fitted, held in folds])[order]
    temperature = fit_temperature(np.log(np.maximum(scores, LEAST)), labels)
    return Calibration(temperature, calibrated(scores, temperature))


def held_folds(count: int, seed: int, groups: Int[ndarray, "n"] | None) -> list[Fold]:
    """The folds of held-out pictures, `splits.random_folds`; none where pictures or groups are too few."""
    folds = random_folds(count, FOLDS, seed, groups) if count >= 2 * FOLDS else []
    return folds if len(folds) > 1 else []


def mean_loss(logits: Float[ndarray, "n classes"], labels: Int[ndarray, "n"]) -> float:
    """Mean negative log likelihood of the labels."""
    return float(-log_softmax(logits, axis=-1)[np.arange(len(labels)), labels].mean())
