"""The map of all classes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from wingbar.explain.placing import overlap
from wingbar.guide.atlas import HEIGHT, LETTERS, RADIUS, TEXT, WIDTH, embed, ems, layout


def test_the_embedding_is_sklearns_up_to_signs() -> None:
    rows = np.random.default_rng(0).normal(size=(20, 20))
    result, expected = embed(rows), PCA(2).fit_transform(rows)
    np.testing.assert_allclose(np.abs(result), np.abs(expected), atol=1e-9)
    assert (result.max(0) >= -result.min(0)).all()  # the signs are fixed


@pytest.mark.parametrize("classes", [2, 3, 200])
def test_labels_lie_inside_and_on_nothing(classes: int) -> None:
    rng = np.random.default_rng(classes)
    atlas = layout(embed(rng.normal(size=(classes, classes))), [f"class number {k} 鳥" * 2 for k in range(classes)])
    dots = [(p.x - RADIUS, p.y - RADIUS, p.x + RADIUS, p.y + RADIUS) for p in atlas.places]
    labels = [
        (p.label_x, p.label_y - TEXT + 3, p.label_x + int(ems(p.label) * TEXT), p.label_y + 3)
        for p in atlas.places
        if p.shown
    ]
    assert labels and all(x1 >= 0 and y1 >= 0 and x2 <= atlas.width and y2 <= atlas.height for x1, y1, x2, y2 in labels)
    assert not any(overlap(a, b) for a, b in combinations(labels, 2))
    assert not any(overlap(label, dot) for label in labels for dot in dots)
    assert all(len(p.label) <= LETTERS for p in atlas.places)


def test_classes_that_look_all_the_same_lie_in_the_middle() -> None:
    places = layout(np.zeros((3, 2)), ["a", "b", "c"]).places
    assert {(p.x, p.y) for p in places} == {(WIDTH // 2, HEIGHT // 2)}
    assert embed(np.zeros((2, 1))).shape == (2, 2)
