"""Corners read off two maps: ridge against scikit-learn, frames, and what a net's head says of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from wingbar.nets.outputs import CornerHead
from wingbar.opam.basis import Basis
from wingbar.opam.corners import box_in_frame, fit_ridge, frame_around, in_frame


def data(count: int, noise: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features, weight = rng.normal(size=(count, 30)), rng.normal(size=(30, 4))
    return features, features @ weight + rng.normal(0, noise, (count, 4)), weight


def test_the_fit_is_scikit_learns_ridge() -> None:
    features, targets, _ = data(60, noise=0.5)
    fit = fit_ridge(features, targets, np.arange(60))
    centred = features - features.mean(0)
    expected = Ridge(alpha=float((centred**2).sum() / 60)).fit(features, targets)
    np.testing.assert_allclose(fit.weight, expected.coef_, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fit(features), expected.predict(features), rtol=1e-3, atol=1e-3)


def test_rows_are_told_by_fits_without_their_group() -> None:
    """Targets that only a row's twin knows are told badly when both are held out, and well when one may be seen."""
    features, _, _ = data(40)
    secret = np.random.default_rng(1).normal(size=(40, 4))
    twice, targets = np.concatenate([features, features]), np.concatenate([secret, secret])
    apart = fit_ridge(twice, targets, np.tile(np.arange(40), 2), strength=1e-3).out_of_fold
    parted = np.concatenate([np.arange(40), 40 + np.roll(np.arange(40), 1)])  # twins fall into different folds
    leaking = fit_ridge(twice, targets, parted, strength=1e-3).out_of_fold
    assert np.abs(apart - targets).mean() > 2 * np.abs(leaking - targets).mean()


def test_unlikely_teachers_weigh_less() -> None:
    features, targets, _ = data(200, noise=0.1)
    targets[:30] += 20
    plain, robust = (
        fit_ridge(features, targets, np.arange(200), robust=weighed, strength=0.01)(features[30:])
        for weighed in (False, True)
    )
    assert np.abs(robust - targets[30:]).mean() < 0.5 * np.abs(plain - targets[30:]).mean()


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        fit_ridge(np.ones((2, 3)), np.ones((2, 4)), np.zeros(2, int))


def test_a_head_says_of_maps_what_the_regression_says_of_compressed_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    last, middle = torch.randn(8, 10, 3, 3, generator=generator), torch.randn(8, 6, 6, 6, generator=generator)
    bases = Basis.of(last, 4), Basis.of(middle, 3)
    weights = torch.randn(4, 4, 3, 3, generator=generator), torch.randn(4, 3, 6, 6, generator=generator)
    expected = sum(
        torch.einsum("nkhw,okhw->no", basis.project(maps), weight)
        for basis, maps, weight in zip(bases, (last, middle), weights, strict=True)
    )
    (one, first), (two, second) = (basis.unfold(weight) for basis, weight in zip(bases, weights, strict=True))
    torch.testing.assert_close(CornerHead(one, two, first + second)(last, middle), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("box", [(10, 20, 60, 50), (0, 0, 200, 100), (150, 80, 200, 100)])
def test_a_box_comes_back_from_its_frame(box: tuple[int, int, int, int]) -> None:
    frame = frame_around(box, (200, 100))
    assert frame[0] <= box[0] and frame[1] <= box[1] and frame[2] >= box[2] and frame[3] >= box[3]
    assert np.abs(np.array(box_in_frame(in_frame(box, frame), frame, (200, 100))) - box).max() <= 1
