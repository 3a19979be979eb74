"""Erasing: what stands in a box's place, where random boxes lie, and that only what matters costs margin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wingbar.errors import PictureError
from wingbar.explain.erasing import FILLS, Pixels, background, erasures, filled, random_box
from wingbar.images import Picture
from wingbar.prediction import Part, Prediction

SIZE = (120, 80)
OBJECT, TELLING, REST = (20, 10, 100, 70), (25, 15, 45, 35), (70, 40, 90, 60)


def bird() -> Picture:
    """A grey object on green, with a bright telling mark."""
    pixels = np.full((SIZE[1], SIZE[0], 3), (30, 120, 30), np.uint8)
    pixels[10:70, 20:100] = 100
    pixels[15:35, 25:45] = (250, 20, 20)
    return Picture(pixels, SIZE)


def answer(red: float) -> Prediction:
    scores = {"red": red, "grey": 1 - red}
    parts = (Part(TELLING, 0, scores), Part(REST, 1, scores))
    return Prediction(None, SIZE, dict(sorted(scores.items(), key=lambda row: -row[1])), OBJECT, parts, {})


def by_red(pictures: Iterable[Pixels]) -> Iterator[Prediction]:
    """A recogniser that looks at nothing but how many pixels are red."""
    for pixels in pictures:
        red = ((pixels[..., 0] > 200) & (pixels[..., 1] < 60)).mean() / (400 / pixels[..., 0].size)
        yield answer(0.1 + 0.8 * min(float(red), 1.0))


def test_only_the_telling_part_costs_margin() -> None:
    picture = bird()
    erased = erasures(by_red, picture, next(iter(by_red([picture.pixels]))), (picture, OBJECT))
    assert erased.margin == pytest.approx(np.log(9))
    assert erased.part_falls == pytest.approx([2 * np.log(9), 0], abs=0.2)
    assert erased.object_fall == pytest.approx(2 * np.log(9), abs=0.2)
    assert erased.random_falls.max() < erased.part_falls[0]
    assert erased.background == ("grey",) * len(FILLS)


def test_a_picture_that_cannot_be_read_again_is_told() -> None:
    def fails(pictures: Iterable[Pixels]) -> Iterator[Prediction]:
        return (Prediction(None, error="no memory") for _ in pictures)

    with pytest.raises(PictureError, match="no memory"):
        erasures(fails, bird(), answer(0.9), (bird(), OBJECT))


def test_fills_hide_what_was_there() -> None:
    pixels, other = bird().pixels, np.full((3, 5, 3), (1, 2, 3), np.uint8)
    x1, y1, x2, y2 = TELLING
    outside = np.ones(pixels.shape[:2], bool)
    outside[y1:y2, x1:x2] = False
    for fill in FILLS:
        erased = filled(pixels, TELLING, fill, other)
        assert (erased[outside] == pixels[outside]).all()
        assert np.abs(erased[y1:y2, x1:x2].astype(int) - (250, 20, 20)).sum(2).min() > 60
    assert (filled(pixels, TELLING, "mean colour", other)[20, 30] == pixels.mean((0, 1)).round()).all()
    assert (filled(pixels, TELLING, "background", other)[y1:y2, x1:x2] == (1, 2, 3)).all()


@given(st.tuples(*[st.integers(1, 60)] * 4), st.tuples(*[st.integers(0, 40)] * 2), st.integers(0, 99))
def test_random_boxes_keep_their_size_and_lie_on_the_object(
    sides: tuple[int, int, int, int], start: tuple[int, int], seed: int
) -> None:
    inside = (*start, start[0] + sides[0], start[1] + sides[1])
    x1, y1, x2, y2 = random_box((0, 0, sides[2], sides[3]), inside, np.random.default_rng(seed))
    assert (x2 - x1, y2 - y1) == sides[2:]
    if sides[2] <= sides[0]:
        assert inside[0] <= x1 and x2 <= inside[2]
    if sides[3] <= sides[1]:
        assert inside[1] <= y1 and y2 <= inside[3]


def test_background_holds_nothing_of_the_object_where_there_is_any() -> None:
    assert (background(bird(), OBJECT) == (30, 120, 30)).all()
    assert background(bird(), (0, 0, *SIZE)).size
