"""Bootstrap 95 % percentile intervals: the uncertainty of a figure that comes from the choice of test pictures.

Pictures are drawn with replacement (Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13). Two
recognisers are compared on the same drawn pictures, so that pictures which are hard for both do not widen the interval.
The intervals do not cover the variation between trainings with other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from numpy import ndarray

RESAMPLES = 2000


class Estimate(NamedTuple):
    """A figure with its 95 % interval; a list of three numbers in JSON."""

    value: float
    low: float
    high: float


def mean_interval(
    values: Real[ndarray, "n"] | Bool[ndarray, "n"], seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """The mean of one value a picture, with its interval. Raises ValueError without pictures."""
    values = _some(values)
    return _estimate(values.mean(), np.array([values[i].mean() for i in _draws(len(values), seed, resamples)]))


def paired_difference(
    correct_a: Bool[ndarray, "n"], correct_b: Bool[ndarray, "n"], seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """Accuracy of b minus accuracy of a, on the same pictures. Raises ValueError without pictures."""
    return mean_interval(correct_b.astype(float) - correct_a.astype(float), seed, resamples)


def error_reduction(
    correct_baseline: Bool[ndarray, "n"] | Float[ndarray, "n"],
    correct_ours: Bool[ndarray, "n"] | Float[ndarray, "n"],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate | None:
    """1 - errors_ours / errors_baseline, on the same pictures: 0.3 is 30 % fewer errors.

    Each picture is right or wrong, or, over several trainings, right in a share of them.
    Negative if ours errs more. None where the baseline makes no error, so that none can be saved; draws
    in which that happens are left out of the interval. Raises ValueError without pictures.
    """
    baseline, ours = _some(1 - correct_baseline.astype(float)), _some(1 - correct_ours.astype(float))
    if not baseline.any():
        return None
    counts = np.array([(baseline[i].sum(), ours[i].sum()) for i in _draws(len(ours), seed, resamples)])
    counts = counts[counts[:, 0] > 0]
    return _estimate(1 - ours.sum() / baseline.sum(), 1 - counts[:, 1] / counts[:, 0])


def interval_of(
    figure: Callable[[Int[ndarray, "n"]], float], count: int, seed: int = 0, resamples: int = RESAMPLES
) -> Estimate:
    """A figure of pictures that are given by their indices, with its interval. Raises ValueError without pictures."""
    everyone = _some(np.arange(count))
    return _estimate(figure(everyone), np.array([figure(chosen) for chosen in _draws(count, seed, resamples)]))


def ratio_interval(
    above: Float[ndarray, "n"], below: Float[ndarray, "n"], seed: int = 0, resamples: int = RESAMPLES
) -> Estimate | None:
    """The mean of ``above`` over the mean of ``below``, one value of each a picture.

    None where the mean of ``below`` is not positive; draws in which it is not are left out of the interval. Raises
    ValueError without pictures.
    """
    above, below = _some(above), _some(below)
    if below.mean() <= 0:
        return None
    means = np.array([(above[i].mean(), below[i].mean()) for i in _draws(len(below), seed, resamples)])
    means = means[means[:, 1] > 0]
    return _estimate(above.mean() / below.mean(), means[:, 0] / means[:, 1])


def _draws(n: int, seed: int, resamples: int) -> Iterator[Int[ndarray, "n"]]:
    rng = np.random.default_rng(seed)
    return (rng.integers(n, size=n) for _ in range(resamples))


def _estimate(value: float | np.floating, drawn: Float[ndarray, "resamples"]) -> Estimate:
    # Near a baseline without errors every draw may be left out: then nothing is known beyond the figure.
    low, high = np.percentile(drawn, [2.5, 97.5]) if len(drawn) else (value, value)
    return Estimate(float(value), float(low), float(high))


def _some(values: ndarray) -> ndarray:
    if not len(values):
        raise ValueError("no pictures to evaluate")
    return values
