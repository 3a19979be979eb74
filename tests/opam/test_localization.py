"""Object boxes: thresholds against scikit-image, boxes against hand-drawn maps."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from wingbar.boxes import iou, whole
from wingbar.errors import ConfigError
from wingbar.opam.localization import (
    Rule,
    box_from_map,
    grow_to_candidate,
    largest_region,
    locate_object,
    otsu,
    threshold,
    vote_box,
)

METHODS = [("otsu", 0.0), ("fraction", 0.5), ("percentile", 60.0)]


@pytest.mark.parametrize("seed", range(10))
def test_otsu_is_scikit_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    saliency = np.concatenate([rng.normal(0.3, 0.1, 500), rng.normal(0.8, 0.05, 200)]).clip(0, 1)
    values = saliency.reshape(20, 35).astype(np.float32)
    assert otsu(values) == pytest.approx(threshold_otsu(values), abs=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_largest_region_is_scikit_images(seed: int) -> None:
    mask = np.random.default_rng(seed).random((20, 20)) > 0.7
    regions, result = label(mask, connectivity=2), largest_region(mask)
    [number] = np.unique(regions[result])
    assert (result == (regions == number)).all()
    assert result.sum() == max(region.area for region in regionprops(regions))


@pytest.mark.parametrize(("method", "value"), METHODS)
def test_box_of_a_bright_rectangle(method, value: float) -> None:
    saliency = np.zeros((40, 60), np.float32)
    saliency[10:30, 20:50] = 1.0
    saliency[0:3, 0:3] = 0.9  # a smaller region does not count
    assert locate_object(saliency, (60, 40), method, value) == (20, 10, 50, 30)
    assert locate_object(saliency, (600, 400), method, value) == (200, 100, 500, 300)


@pytest.mark.parametrize(("method", "value"), METHODS)
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_a_constant_map_gives_the_whole_picture(method, value: float, grey: float) -> None:
    box = locate_object(np.full((7, 9), grey, np.float32), (90, 70), method, value)
    assert box == whole((90, 70))


def test_thresholds() -> None:
    saliency = np.array([[0.0, 0.2], [0.4, 0.8]], np.float32)
    assert threshold(saliency, "fraction", 0.25) == pytest.approx(0.2)
    assert threshold(saliency, "percentile", 50.0) == pytest.approx(np.percentile(saliency, 50))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3, 2)])
def test_boxes_of_tiny_pictures_are_not_empty(size: tuple[int, int]) -> None:
    saliency = np.zeros((8, 8), np.float32)
    saliency[7, 7] = 1.0
    x1, y1, x2, y2 = locate_object(saliency, size)
    assert 0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]


def test_a_box_grows_to_the_first_candidate_that_holds_it() -> None:
    candidates = np.array([[0, 0, 90, 90], [50, 50, 60, 60], [12, 8, 40, 30], [10, 10, 31, 30]], np.int32)
    assert grow_to_candidate((10, 10, 30, 30), candidates) == (12, 8, 40, 30)
    assert grow_to_candidate((10, 10, 30, 30), candidates[:2]) == (10, 10, 30, 30)
    assert grow_to_candidate((10, 10, 30, 30), candidates[:0]) == (10, 10, 30, 30)


@pytest.mark.parametrize("seed", range(10))
def test_a_vote_is_the_median_of_corners_repeated_by_weight(seed: int) -> None:
    rng = np.random.default_rng(seed)
    candidates = np.concatenate([rng.integers(0, 30, (60, 2)), rng.integers(50, 80, (60, 2))], 1).astype(np.int32)
    weights = np.maximum(iou(candidates, np.array([[10, 10, 60, 60]]))[:, 0] - 0.5, 0)
    repeated = np.repeat(candidates, np.round(1e6 * weights).astype(int), axis=0)
    expected = np.sort(repeated, axis=0)[(len(repeated) - 1) // 2]
    assert vote_box((10, 10, 60, 60), candidates) == tuple(expected)


def test_candidates_that_hardly_overlap_have_no_vote() -> None:
    box = (10, 10, 30, 30)
    assert vote_box(box, np.array([[10, 10, 30, 20], [50, 50, 60, 60]], np.int32)) == box
    assert vote_box(box, np.zeros((0, 4), np.int32)) == box
    assert vote_box(box, np.array([[10, 10, 30, 20], [11, 9, 33, 31]], np.int32)) == (11, 9, 33, 31)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("cam otsu", Rule("cam", "otsu", 0.0, False)),
        ("principal fraction 0.5", Rule("principal", "fraction", 0.5, False)),
        ("cam percentile 70 grown", Rule("cam", "percentile", 70.0, True)),
    ],
)
def test_rules_are_read(text: str, rule: Rule) -> None:
    assert Rule.parse(text) == rule


@pytest.mark.parametrize(
    "text", ["", "otsu", "cam", "cam otsu 0.3", "cam fraction", "cam fraction x", "map otsu", "grown"]
)
def test_other_rules_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no rule"):
        Rule.parse(text)


def test_boxes_of_maps_are_in_pixels_of_the_original() -> None:
    saliency = np.zeros((10, 10), np.float32)
    saliency[4:8, 2:6] = 1.0
    x1, y1, x2, y2 = box_from_map(saliency, (4000, 3000), 300, Rule.parse("cam otsu"), np.zeros((0, 4), np.int32))
    assert np.allclose([x1, y1, x2, y2], [800, 1200, 2400, 2400], atol=160)
