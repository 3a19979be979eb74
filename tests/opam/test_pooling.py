"""Pooling: temperatures against a grid, weights that noise does not move, and what equal streams give."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from wingbar.opam.fusion import cross_validate
from wingbar.opam.pooling import fit_pooling, log_scores, pool


def logits_of(labels: np.ndarray, strength: float, rng: np.random.Generator, classes: int = 10) -> np.ndarray:
    """Logits that favour the label by ``strength``, with noise of one: calibrated at temperature 1 / strength."""
    logits = rng.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += strength
    return logits


def test_one_stream_alone_is_its_softmax_at_its_temperature() -> None:
    logits = np.random.default_rng(0).normal(size=(1, 6, 4))
    np.testing.assert_allclose(pool(log_scores(logits, [2.0]), [1.0]), softmax(logits[0] / 2, -1), rtol=1e-5)


def test_noise_does_not_move_the_weights_as_it_moves_those_chosen_by_counting() -> None:
    """Two halves of 150 pictures of three equally good streams: by counting, weights differ wildly between them."""
    rng = np.random.default_rng(0)
    spread, by_counting = [], []
    for _ in range(6):
        labels = rng.integers(0, 10, 150)
        logits = np.stack([logits_of(labels, 2.0, rng) for _ in range(3)])
        spread.append(fit_pooling(logits, labels, [1, 1, 1]).weights)
        by_counting.append(cross_validate(softmax(logits, -1), labels).weights)
    assert np.std(spread, axis=0).max() < 0.03 < np.std(by_counting, axis=0).max()


def test_pooling_is_no_worse_than_the_best_stream() -> None:
    rng = np.random.default_rng(0)
    labels, fresh = rng.integers(0, 10, 300), rng.integers(0, 10, 3000)
    for strengths in ((2, 2, 2), (3, 1, 1), (3, 3, 0)):
        fitted = fit_pooling(np.stack([logits_of(labels, s, rng) for s in strengths]), labels, [1, 1, 1])
        streams = np.stack([logits_of(fresh, s, rng) for s in strengths])
        pooled = pool(log_scores(streams, fitted.temperatures), fitted.weights)
        best = max((stream.argmax(1) == fresh).mean() for stream in streams)
        assert (pooled.argmax(1) == fresh).mean() >= best - 0.003


def test_without_pictures_every_view_weighs_alike() -> None:
    fit = fit_pooling(np.zeros((3, 0, 4)), np.zeros(0, int), [1, 1, 2])
    assert fit.weights == (0.25, 0.25, 0.5) and fit.temperatures == (1.0, 1.0, 1.0)
