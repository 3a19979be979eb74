"""Fusion weights: against random ones, and why they must come from held-out pictures."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from wingbar.opam.calibration import softmax
from wingbar.opam.fusion import best_weights, cross_validate, fuse, simplex_grid


def noisy_scores(labels: np.ndarray, classes: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Probabilities that favour the label by ``strength`` nats, with noise of one."""
    logits = rng.normal(size=(len(labels), classes))
    logits[np.arange(len(labels)), labels] += strength
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def test_the_grid_is_the_whole_simplex() -> None:
    grid = simplex_grid(3, steps=4)
    whole = {w for w in product((0, 0.25, 0.5, 0.75, 1), repeat=3) if sum(w) == 1}
    assert {tuple(w) for w in grid} == whole and len(grid) == len(whole)


@pytest.mark.parametrize("seed", range(5))
def test_best_weights_are_as_accurate_as_any_random_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 150)
    scores = np.stack([noisy_scores(labels, 5, s, rng) for s in (1.0, 2.0, 1.5)])
    best = (fuse(scores, best_weights(scores, labels)).argmax(1) == labels).mean()
    tried = [(fuse(scores, w).argmax(1) == labels).mean() for w in rng.dirichlet(np.ones(3), 300)]
    assert best >= max(tried) - 2 / 150  # the mean of the best may lose a picture or two


def test_weights_that_all_do_equally_well_are_averaged() -> None:
    labels = np.arange(4)
    scores = np.stack([np.eye(4), np.eye(4), np.eye(4)])
    np.testing.assert_allclose(best_weights(scores, labels), 1 / 3)


def test_weights_are_on_the_simplex_and_favour_the_better_stream() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 200)
    scores = np.stack([noisy_scores(labels, 5, s, rng) for s in (0.5, 3.0, 1.0)])
    weights = np.array(cross_validate(scores, labels).weights)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    assert weights.argmax() == 1
    assert cross_validate(scores, labels).held_out_accuracy > (scores[0].argmax(1) == labels).mean()


def test_weights_from_training_scores_would_be_wrong() -> None:
    """A stream that has learnt its training pictures by heart looks perfect on them and is poor elsewhere."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, 300)
    good, poor = 3.0, 0.5
    held_out = np.stack([noisy_scores(labels, 5, good, rng), noisy_scores(labels, 5, poor, rng)])
    saturated = np.stack([noisy_scores(labels, 5, good, rng), noisy_scores(labels, 5, 12.0, rng)])
    right, wrong = (np.array(cross_validate(scores, labels).weights) for scores in (held_out, saturated))
    assert right[0] > 0.6 and wrong[0] < 0.4

    fresh_labels = rng.integers(0, 5, 2000)
    fresh = np.stack([noisy_scores(fresh_labels, 5, good, rng), noisy_scores(fresh_labels, 5, poor, rng)])
    accuracy = [(fuse(fresh, weights).argmax(1) == fresh_labels).mean() for weights in (right, wrong)]
    assert accuracy[0] > accuracy[1] + 0.1


def test_fuse_is_the_weighted_sum() -> None:
    scores = np.random.default_rng(0).random((3, 4, 6))
    weights = np.array([0.5, 0.3, 0.2])
    np.testing.assert_allclose(fuse(scores, weights), 0.5 * scores[0] + 0.3 * scores[1] + 0.2 * scores[2])


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_pictures_give_equal_weights(count: int) -> None:
    scores = np.full((3, count, 4), 0.25)
    np.testing.assert_allclose(cross_validate(scores, np.zeros(count, int)).weights, 1 / 3)


def test_the_same_seed_gives_the_same_weights() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 50)
    scores = np.stack([noisy_scores(labels, 4, s, rng) for s in (1.0, 1.2, 0.8)])
    assert cross_validate(scores, labels, seed=3) == cross_validate(scores, labels, seed=3)


def test_softmax_is_torchs() -> None:
    logits = np.array([[1000.0, 0.0, -3.0], [0.1, 0.2, 0.3]])
    expected = torch.from_numpy(logits).softmax(-1).float().numpy()
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-6)
