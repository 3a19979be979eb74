"""Arithmetic of maps against brute force."""

from __future__ import annotations

import numpy as np

from wingbar.opam.maps import pool_boxes, resize_map, stretch, unit, working_size


def test_maps_are_stretched_each_for_itself_and_a_constant_one_becomes_zero() -> None:
    maps = np.array([[[1.0, 3.0]], [[5.0, 5.0]], [[-2.0, 0.0]]], np.float32)
    assert stretch(maps).tolist() == [[[0, 1]], [[0, 0]], [[0, 1]]]


def test_vectors_are_scaled_to_length_one_but_for_those_too_short_to_point_anywhere() -> None:
    vectors = np.array([[3.0, 4.0], [0.0, 0.0], [3e-8, 4e-8]])
    np.testing.assert_allclose(unit(vectors), [[0.6, 0.8], [0, 0], [0.6, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(unit(vectors, 1e-6), [[0.6, 0.8], [0, 0], [0.03, 0.04]], rtol=1e-6)


def test_resizing_keeps_place_and_range() -> None:
    small = np.zeros((4, 6), np.float32)
    small[1, 4] = 1.0
    large = resize_map(small, (60, 40))
    assert large.shape == (40, 60) and large.dtype == np.float32
    assert large.min() >= 0 and large.max() <= 1
    row, column = np.unravel_index(large.argmax(), large.shape)
    assert (abs(row - 14.5) <= 1, abs(column - 44.5) <= 1) == (True, True)


def test_pooling_over_boxes_is_the_mean_over_their_pixels() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 4, 5)).astype(np.float32)
    pixels = maps.repeat(10, axis=1).repeat(12, axis=2)  # a picture of 60 x 40, each cell 12 x 10 pixels
    for _ in range(50):
        x1, y1 = int(rng.integers(0, 59)), int(rng.integers(0, 39))
        x2, y2 = int(rng.integers(x1 + 1, 61)), int(rng.integers(y1 + 1, 41))
        expected = pixels[:, y1:y2, x1:x2].mean((1, 2))
        np.testing.assert_allclose(pool_boxes(maps, np.array([[x1, y1, x2, y2]]), (60, 40))[0], expected, atol=1e-5)


def test_pooling_no_boxes_gives_none() -> None:
    assert pool_boxes(np.ones((3, 2, 2), np.float32), np.zeros((0, 4), int), (10, 10)).shape == (0, 3)


def test_working_copies_are_bounded_and_never_enlarged() -> None:
    assert working_size((4000, 3000), 300) == (400, 300)
    assert working_size((100, 80), 300) == (100, 80)
    assert working_size((5000, 1), 300) == (5000, 1)
    width, height = working_size((300, 400_000), 300)
    assert width * height <= 4 * 300 * 300 * 1.01
