"""What clusters hold, on drawn cases whose answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from wingbar.evaluation.parts import PictureParts, evaluate_parts

OBJECT = (0, 0, 100, 100)


def picture(boxes: list[tuple[int, int, int, int]], clusters: list[int], **keypoints: tuple[int, int]) -> PictureParts:
    points = [(name, float(x), float(y)) for name, (x, y) in keypoints.items()]
    return PictureParts(np.array(boxes, dtype=int).reshape(-1, 4), np.array(clusters, dtype=int), points, OBJECT)


def test_hand_computed():
    pictures = [
        picture([(0, 0, 20, 20), (60, 60, 100, 100)], [0, 1], beak=(10, 10), tail=(80, 80)),
        picture([(0, 0, 20, 20), (60, 60, 100, 100)], [0, 1], beak=(50, 50), tail=(70, 70)),
        picture([(0, 0, 20, 20), (60, 60, 120, 100)], [0, 1], tail=(10, 10)),
    ]
    report = evaluate_parts(pictures)
    first, second = report.clusters
    assert report.keypoints == ("beak", "tail")
    assert (first.cluster, first.boxes) == (0, 3)
    assert first.holds == pytest.approx({"beak": 1 / 2, "tail": 1 / 3})
    assert first.best == "beak"
    assert first.consistency == pytest.approx(1 / 2 - 0.04)
    assert first.relative_area == pytest.approx(0.04)
    assert second.holds == pytest.approx({"beak": 0, "tail": 2 / 3})
    assert second.consistency == pytest.approx(2 / 3 - 0.16)
    assert second.relative_area == pytest.approx((0.16 + 0.16 + 0.24) / 3)
    assert report.consistency == pytest.approx((first.consistency + second.consistency) / 2)


def test_boxes_are_half_open():
    held = evaluate_parts([picture([(0, 0, 10, 10)], [0], inside=(0, 0), outside=(10, 5))]).clusters[0].holds
    assert held == {"inside": 1, "outside": 0}


def drawn(aligned: bool, n: int = 120, seed: int = 0) -> list[PictureParts]:
    """A beak and a tail that move about; one box on each; clusters that know which, or do not."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(n):
        beak, tail = rng.integers(10, 40, 2), rng.integers(60, 90, 2)
        boxes = [(*(point - 8), *(point + 8)) for point in (beak, tail)]
        clusters = [0, 1] if aligned else rng.permutation(2).tolist()
        pictures.append(picture(boxes, clusters, beak=tuple(beak), tail=tuple(tail)))
    return pictures


def test_aligned_clusters_stand_out_from_shuffled_ones():
    report = evaluate_parts(drawn(aligned=True))
    assert [cluster.best for cluster in report.clusters] == ["beak", "tail"]
    area = 16 * 16 / 100**2
    assert report.consistency == pytest.approx(1 - area)
    assert report.shuffled_consistency == pytest.approx(0.5 - area, abs=0.06)
    assert [cluster.boxes for cluster in report.shuffled] == [120, 120]


def test_arbitrary_clusters_do_not():
    report = evaluate_parts(drawn(aligned=False))
    assert report.consistency == pytest.approx(report.shuffled_consistency, abs=0.08)


def test_boxes_that_know_nothing_hold_what_their_size_explains():
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(1500):
        x, y = rng.integers(0, 61, 2)
        anywhere = tuple(rng.integers(0, 100, 2))
        pictures.append(picture([(x, y, x + 40, y + 40)], [0], point=anywhere))
    assert evaluate_parts(pictures, shuffles=1).consistency == pytest.approx(0, abs=0.03)


def test_rare_keypoints_do_not_decide():
    pictures = drawn(aligned=True, n=40)
    pictures[0] = picture([(0, 0, 20, 20), (60, 60, 80, 80)], [0, 1], freckle=(5, 5))
    first = evaluate_parts(pictures).clusters[0]
    assert first.holds["freckle"] == 1
    assert first.best == "beak"


def test_seeded():
    pictures = drawn(aligned=False, n=20)
    assert evaluate_parts(pictures, seed=1) == evaluate_parts(pictures, seed=1)
    assert evaluate_parts(pictures, seed=1) != evaluate_parts(pictures, seed=2)


def test_pictures_without_parts_or_keypoints():
    report = evaluate_parts([picture([], []), picture([(0, 0, 5, 5)], [3])])
    assert report.pictures == 2
    assert [(c.cluster, c.best, c.consistency) for c in report.clusters] == [(3, None, None)]
    assert report.consistency is None
    json.dumps(report.to_dict(), allow_nan=False)
    with pytest.raises(ValueError, match="no parts"):
        evaluate_parts([picture([], [], beak=(1, 1))])
