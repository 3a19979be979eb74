"""Geometry of boxes against torchvision and against sets of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from wingbar.boxes import area, clip, intersection, iou, rescale, whole, with_context


def random_boxes(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 80, (count, 2))
    return np.concatenate([corner, corner + rng.integers(1, 40, (count, 2))], axis=1).astype(np.int32)


def test_iou_is_torchvisions() -> None:
    a, b = random_boxes(20, 0), random_boxes(30, 1)
    expected = box_iou(torch.from_numpy(a).double(), torch.from_numpy(b).double()).numpy()
    np.testing.assert_allclose(iou(a, b), expected)


def test_areas_and_intersections_count_pixels() -> None:
    a, b = random_boxes(10, 2), random_boxes(10, 3)
    for i, j in np.ndindex(10, 10):
        pixels = [{(x, y) for x in range(x1, x2) for y in range(y1, y2)} for x1, y1, x2, y2 in (a[i], b[j])]
        assert area(a)[i] == len(pixels[0])
        assert intersection(a, b)[i, j] == len(pixels[0] & pixels[1])


def test_empty_and_inverted_boxes_have_no_area() -> None:
    boxes = np.array([[5, 5, 5, 9], [9, 9, 2, 12]], np.int32)
    assert area(boxes).tolist() == [0, 0]
    assert iou(boxes, boxes).tolist() == [[0, 0], [0, 0]]


def test_large_areas_do_not_overflow() -> None:
    assert area(np.array([[0, 0, 60_000, 60_000]], np.int32)).tolist() == [3_600_000_000]


def test_clip() -> None:
    assert clip(np.array([[-3, 4, 50, 60]]), (40, 30)).tolist() == [[0, 4, 40, 30]]


@pytest.mark.parametrize(("small", "large"), [((40, 30), (400, 300)), ((33, 21), (1000, 777))])
def test_rescaling_covers_the_box_and_stays_inside(small: tuple[int, int], large: tuple[int, int]) -> None:
    boxes = clip(random_boxes(50, 4), small)
    there = rescale(boxes, small, large)
    back = there * np.array([small[0] / large[0], small[1] / large[1]] * 2)
    assert (back[:, :2] <= boxes[:, :2] + 1e-6).all() and (back[:, 2:] >= boxes[:, 2:] - 1e-6).all()
    assert (there >= 0).all() and (there <= np.array([*large, *large])).all()
    np.testing.assert_array_equal(rescale(boxes, small, small), boxes)


@pytest.mark.parametrize("seed", range(5))
def test_context_holds_the_box_inside_the_picture(seed: int) -> None:
    size = (90, 70)
    for box in clip(random_boxes(40, seed), size):
        x1, y1, x2, y2 = (int(v) for v in box)
        if x1 >= x2 or y1 >= y2:
            continue
        left, top, right, bottom = with_context((x1, y1, x2, y2), size, margin=0.1)
        assert left <= x1 and top <= y1 and right >= x2 and bottom >= y2
        assert left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]
        width, height = right - left, bottom - top
        longest_possible = width == size[0] or height == size[1]
        assert longest_possible or max(width, height) <= 1.5 * min(width, height) + 2  # rounding


def test_whole() -> None:
    assert whole((30, 20)) == (0, 0, 30, 20)
