"""Looking: rules of localisation, working sizes, candidates and parts in pixels of the original."""

from __future__ import annotations

import numpy as np
import pytest

from wingbar.attention import object_box, part_boxes, propose, working_size
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
    x1, y1, x2, y2 = object_box(saliency, (4000, 3000), 300, Rule.parse("cam otsu"), NONE)
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
