"""Looking: rules of localisation, working sizes, candidates and parts in pixels of the original."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wingbar.attention import box_from_corners, box_from_map, own_heads, part_boxes, propose, softmax, working_size
from wingbar.config import PartSettings, ProposalSettings, Rule
from wingbar.errors import ConfigError
from wingbar.images import Picture

NONE = np.zeros((0, 4), np.int32)


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


def test_working_copies_are_bounded_and_never_enlarged() -> None:
    assert working_size((4000, 3000), 300) == (400, 300)
    assert working_size((100, 80), 300) == (100, 80)
    assert working_size((5000, 1), 300) == (5000, 1)
    width, height = working_size((300, 400_000), 300)
    assert width * height <= 4 * 300 * 300 * 1.01


def test_boxes_and_candidates_are_in_pixels_of_the_original() -> None:
    saliency = np.zeros((10, 10), np.float32)
    saliency[4:8, 2:6] = 1.0
    x1, y1, x2, y2 = box_from_map(saliency, (4000, 3000), 300, Rule.parse("cam otsu"), NONE)
    assert np.allclose([x1, y1, x2, y2], [800, 1200, 2400, 2400], atol=160)
    pixels = np.full((300, 400, 3), 90, np.uint8)
    pixels[100:200, 100:250] = (220, 30, 30)
    found = propose(Picture(pixels, (4000, 3000)), ProposalSettings(side=300))
    assert found.max() <= 4000 and (np.abs(found - np.array([1000, 1000, 2500, 2000])).max(1) < 100).any()


def test_parts_are_candidates_and_the_object_stands_in_for_none() -> None:
    saliency = np.ones((4, 4), np.float32)
    candidates = np.array([[0, 0, 100, 60], [0, 40, 100, 100], [90, 90, 100, 100]], np.int32)
    found = part_boxes(candidates, (0, 0, 100, 100), saliency, (100, 100), 50, PartSettings())
    assert found.tolist() == candidates[:2].tolist()
    assert part_boxes(NONE, (1, 2, 3, 4), saliency, (100, 100), 50, PartSettings()).tolist() == [[1, 2, 3, 4]]


def test_corners_become_a_box_inside_the_picture() -> None:
    assert box_from_corners(np.array([0.1, 0.2, 0.5, 0.6]), (200, 100)) == (20, 20, 100, 60)
    assert box_from_corners(np.array([-0.3, 0.2, 1.4, 0.6]), (200, 100)) == (0, 20, 200, 60)


@pytest.mark.parametrize("corners", [[0.7, 0.7, 0.3, 0.3], [2, 2, 3, 3], [-3, -3, -2, -2], [0.5, 0.5, 0.5, 0.5]])
@pytest.mark.parametrize("size", [(200, 100), (1, 1), (3, 5000)])
def test_no_corners_give_a_box_without_area_or_outside(corners: list[float], size: tuple[int, int]) -> None:
    x1, y1, x2, y2 = box_from_corners(np.array(corners, float), size)
    assert 0 <= x1 < x2 <= size[0] and 0 <= y1 < y2 <= size[1]


def test_each_part_is_judged_by_its_own_head_where_there_are_several() -> None:
    logits = np.arange(12.0).reshape(2, 6)
    assert own_heads(logits, np.array([1, 0]), 3).tolist() == [[3, 4, 5], [6, 7, 8]]
    assert own_heads(logits[:, :3], np.array([1, 0]), 3).tolist() == logits[:, :3].tolist()


def test_softmax_is_torchs() -> None:
    logits = np.array([[1000.0, 0.0, -3.0], [0.1, 0.2, 0.3]])
    expected = torch.from_numpy(logits).softmax(-1).float().numpy()
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-6)
