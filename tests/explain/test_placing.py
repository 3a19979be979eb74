"""Labels do not overlap, whatever lies below them."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from wingbar.explain.placing import overlap, place_labels

CANVAS = (200, 150)
point = st.tuples(st.integers(0, 199), st.integers(0, 149))
box = st.tuples(point, point).map(
    lambda p: (min(p[0][0], p[1][0]), min(p[0][1], p[1][1]), max(p[0][0], p[1][0]) + 1, max(p[0][1], p[1][1]) + 1)
)
size = st.tuples(st.integers(8, 60), st.integers(8, 30))


@settings(deadline=None)
@given(st.lists(st.tuples(box, size), max_size=12), st.lists(box, max_size=3), st.booleans())
def test_labels_stay_inside_and_apart(labels, obstacles, anywhere) -> None:
    anchors, sizes = [anchor for anchor, _ in labels], [size for _, size in labels]
    places = place_labels(anchors, sizes, CANVAS, obstacles=obstacles, anywhere=anywhere)
    result = [place for place in places if place is not None]
    for place, (width, height) in zip(places, sizes, strict=True):
        if place is not None:
            assert (place[2] - place[0], place[3] - place[1]) == (width, height)
            assert place[0] >= 0 and place[1] >= 0 and place[2] <= CANVAS[0] and place[3] <= CANVAS[1]
    assert not any(overlap(a, b) for a, b in combinations(result, 2))
    assert not any(overlap(place, other) for place in result for other in obstacles)


def test_seven_labels_at_one_box_all_find_room() -> None:
    places = place_labels([(90, 70, 94, 74)] * 7, [(30, 20)] * 7, CANVAS, anywhere=True)
    assert None not in places


def test_the_first_choice_is_over_the_box() -> None:
    assert place_labels([(50, 50, 90, 90)], [(20, 10)], CANVAS) == [(50, 40, 70, 50)]
    assert place_labels([(50, 5, 90, 90)], [(20, 10)], CANVAS) == [(50, 5, 70, 15)]  # inside: no room above


def test_no_room_is_said() -> None:
    assert place_labels([(0, 0, 5, 5)], [(300, 10)], CANVAS, anywhere=True) == [None]
    full = [(0, 0, *CANVAS)]
    assert place_labels([(9, 9, 20, 20)], [(5, 5)], CANVAS, obstacles=full, anywhere=True) == [None]


def test_overlap_is_half_open() -> None:
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) and not overlap((0, 0, 2, 2), (2, 0, 4, 2))
