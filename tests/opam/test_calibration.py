"""Calibration: temperatures against a grid and a known truth; the order of classes stays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from wingbar.opam.calibration import calibrated, fit_calibration, fit_temperature


def drawn(count: int, rng: np.random.Generator, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax: calibrated at temperature one."""
    logits = 2 * rng.normal(size=(count, classes))
    return logits, np.array([rng.choice(classes, p=row) for row in softmax(logits, -1)])


def test_the_temperature_is_the_likeliest_of_a_grid() -> None:
    rng = np.random.default_rng(0)
    logits, labels = drawn(500, rng)
    logits *= 5
    grid = np.geomspace(0.1, 20, 400)
    losses = [-log_softmax(logits / t, -1)[np.arange(500), labels].mean() for t in grid]
    assert fit_temperature(logits, labels) == pytest.approx(grid[int(np.argmin(losses))], rel=0.02)


def test_a_temperature_that_was_put_in_is_found() -> None:
    logits, labels = drawn(4000, np.random.default_rng(1))
    for temperature in (0.3, 1.0, 4.0):
        scores = softmax(temperature * logits, -1)
        fit = fit_calibration(lambda fitted, held, scores=scores: scores[held], labels)
        assert fit.temperature == pytest.approx(temperature, rel=0.1)
        held_out = fit.held_out[np.arange(4000), labels]
        assert np.exp(np.log(held_out).mean()) >= np.exp(np.log(scores[np.arange(4000), labels]).mean()) - 1e-6
        np.testing.assert_allclose(calibrated(scores, temperature), softmax(logits, -1), atol=1e-5)


def test_weights_are_asked_for_without_the_pictures_they_are_judged_on() -> None:
    logits, labels = drawn(100, np.random.default_rng(2))
    seen: list[int] = []

    def fused(fitted: np.ndarray, held: np.ndarray) -> np.ndarray:
        assert not set(fitted) & set(held) and len(fitted) + len(held) == 100
        seen.extend(held)
        return softmax(logits[held], -1)

    fit_calibration(fused, labels)
    assert sorted(seen) == list(range(100))


def test_few_pictures_change_nothing_and_order_stays() -> None:
    few = fit_calibration(lambda fitted, held: np.zeros((len(held), 3)), np.zeros(9, int))
    assert few.temperature == 1.0 and not len(few.held_out)
    scores = softmax(np.random.default_rng(3).normal(size=(20, 5)), -1)
    assert (calibrated(scores, 7.0).argsort(1) == scores.argsort(1)).all()
