"""Boxes learnt from features: planted ones are found, noise is averaged out, mirrors agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wingbar.nets.outputs import mirror_corners
from wingbar.opam.box_regression import box_from_corners, fit_corners


def mirror_boxes(corners: np.ndarray) -> np.ndarray:
    return mirror_corners(torch.from_numpy(corners)).numpy()


def planted(count: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps of one channel that is 1 on the object, and true and noisy corners on a 8 x 8 grid."""
    rng = np.random.default_rng(seed)
    starts, sides = rng.integers(0, 4, (count, 2)), rng.integers(2, 5, (count, 2))
    maps = np.zeros((count, 1, 8, 8), np.float32)
    for one, (x, y), (w, h) in zip(maps, starts, sides, strict=True):
        one[0, y : y + h, x : x + w] = 1
    truth = np.concatenate([starts, starts + sides], 1) / 8
    return maps, truth, truth + rng.normal(0, noise, truth.shape)


def read(weight: np.ndarray, bias: np.ndarray, maps: np.ndarray) -> np.ndarray:
    return np.einsum("nchw,kchw->nk", maps, weight) + bias


def test_learnt_boxes_are_nearer_the_truth_than_their_teachers() -> None:
    maps, truth, teachers = planted(400, noise=0.1)
    weight, bias = fit_corners(maps, maps[..., ::-1], teachers, mirror_boxes(teachers))
    unseen, expected, _ = planted(200, noise=0, seed=1)
    taught, learnt = np.abs(teachers - truth).mean(), np.abs(read(weight, bias, unseen) - expected).mean()
    assert learnt < 0.7 * taught


def test_a_mirrored_picture_has_the_mirrored_box() -> None:
    maps, _, teachers = planted(100, noise=0.05)
    weight, bias = fit_corners(maps, maps[..., ::-1], teachers, mirror_boxes(teachers))
    np.testing.assert_allclose(read(weight, bias, maps[..., ::-1]), mirror_boxes(read(weight, bias, maps)), atol=1e-4)


def test_mirroring_twice_changes_nothing() -> None:
    corners = np.random.default_rng(0).random((5, 4))
    np.testing.assert_allclose(mirror_boxes(mirror_boxes(corners)), corners)
    assert mirror_boxes(np.array([[0.1, 0.2, 0.4, 0.9]])).round(6).tolist() == [[0.6, 0.2, 0.9, 0.9]]


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        fit_corners(*planted(1, noise=0)[:1] * 2, *[np.zeros((1, 4))] * 2)


def test_corners_become_a_box_inside_the_picture() -> None:
    assert box_from_corners(np.array([0.1, 0.2, 0.5, 0.6]), (200, 100)) == (20, 20, 100, 60)
    assert box_from_corners(np.array([-0.3, 0.2, 1.4, 0.6]), (200, 100)) == (0, 20, 200, 60)


@pytest.mark.parametrize("corners", [[0.7, 0.7, 0.3, 0.3], [2, 2, 3, 3], [-3, -3, -2, -2], [0.5, 0.5, 0.5, 0.5]])
@pytest.mark.parametrize("size", [(200, 100), (1, 1), (3, 5000)])
def test_no_corners_give_a_box_without_area_or_outside(corners: list[float], size: tuple[int, int]) -> None:
    x1, y1, x2, y2 = box_from_corners(np.array(corners, float), size)
    assert 0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]
