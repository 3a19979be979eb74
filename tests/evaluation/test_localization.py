"""Boxes and maps against a slow loop of its own, torchvision, scikit-image, and hand-computed cases."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.measure import label, regionprops
from torchvision.ops import box_iou

from wingbar.evaluation.localization import (
    MaxBoxAcc,
    MaxBoxAccV2,
    best_centre_share,
    best_ious,
    centre_boxes,
    centre_saliency,
    localize,
    paired_iou,
)


def share_of(boxes: np.ndarray, truth: np.ndarray, threshold: float = 0.5) -> float:
    return float((paired_iou(boxes, truth) >= threshold).mean())


def max_box_acc(maps, sizes, truth) -> MaxBoxAccV2:
    meter = MaxBoxAcc()
    for saliency, size, box in zip(maps, sizes, truth.tolist(), strict=True):
        meter.add(saliency, size, tuple(box))
    return meter.result()


coordinates = st.integers(0, 20)


def some_boxes(n: int, size: tuple[int, int] = (100, 80), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, (size[0] // 2, size[1] // 2), size=(n, 2))
    sides = rng.integers(10, (size[0] // 2, size[1] // 2), size=(n, 2))
    return np.concatenate([corner, corner + sides], axis=1).astype(np.int32)


def smooth_map(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((1, 1, 7, 7), dtype=np.float32))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").numpy()[0, 0]
    return (fine - fine.min()) / (fine.max() - fine.min())


def test_iou_equals_torchvisions():
    a, b = some_boxes(200), some_boxes(200, seed=1)
    expected = box_iou(torch.from_numpy(a).double(), torch.from_numpy(b).double()).diag().numpy()
    np.testing.assert_allclose(paired_iou(a, b), expected)
    for threshold in (0.3, 0.5):
        assert share_of(a, b, threshold) == (expected >= threshold).mean()


@given(st.tuples(*[coordinates] * 4), st.tuples(*[coordinates] * 4))
def test_iou_is_symmetric_and_counts_pixels(a: tuple[int, ...], b: tuple[int, ...]):
    pixels = [{(x, y) for x in range(c[0], c[2]) for y in range(c[1], c[3])} for c in (a, b)]
    union = len(pixels[0] | pixels[1])
    expected = len(pixels[0] & pixels[1]) / union if union else 0.0
    left, right = np.array([a]), np.array([b])
    assert paired_iou(left, right)[0] == paired_iou(right, left)[0] == expected


def test_the_threshold_itself_counts():
    assert share_of(np.array([[0, 0, 10, 10]]), np.array([[0, 0, 10, 7]]), 0.7) == 1


# The map below has a peak of 1.0 in a hill of 0.5 (columns 1-3, rows 1-3), and a second, lone hill of 0.25
# (columns 6-9, rows 6-9).
def two_hills() -> np.ndarray:
    saliency = np.zeros((10, 10), dtype=np.float32)
    saliency[1:4, 1:4], saliency[2, 2], saliency[6:10, 6:10] = 0.5, 1.0, 0.25
    return saliency


def test_hand_computed_boxes_of_every_region():
    peak = best_ious(two_hills(), (10, 10), (2, 2, 3, 3))
    assert (peak[:50] == 1 / 9).all()  # the hill of 3 x 3 around the one true pixel
    assert (peak[50:] == 1).all()  # 0.5 is not above 0.5: the peak alone
    hill = best_ious(two_hills(), (10, 10), (1, 1, 4, 4))
    assert (hill[:50] == 1).all()
    assert (hill[50:] == 1 / 9).all()
    second = best_ious(two_hills(), (10, 10), (6, 6, 10, 10))
    assert (second[:25] == 1).all()  # the lesser region counts as well
    assert (second[25:] == 0).all()


def test_hand_computed_max_box_acc():
    # Picture 1 is solved below 0.5, picture 2 from there on; one threshold must serve both.
    maps, sizes = [two_hills(), two_hills()], [(10, 10), (10, 10)]
    result = max_box_acc(maps, sizes, np.array([[1, 1, 4, 4], [2, 2, 3, 3]]))
    assert result.per_iou == {"0.3": 0.5, "0.5": 0.5, "0.7": 0.5}
    assert result.mean == 0.5
    assert result.best_threshold["0.5"] == 0
    # True box of 3 x 5 around the 3 x 3 hill: IoU 0.6, right at 0.3 and 0.5 and wrong at 0.7.
    result = max_box_acc(maps[:1], sizes[:1], np.array([[1, 1, 4, 6]]))
    assert result.per_iou == {"0.3": 1, "0.5": 1, "0.7": 0}
    assert result.mean == pytest.approx(2 / 3)


def test_the_map_may_have_another_size_than_the_picture():
    for size, box in [((20, 30), (2, 3, 8, 12)), ((5000, 7), (500, 1, 2000, 3))]:
        ious = best_ious(two_hills(), size, box)
        exact = np.array([[size[0] * 1, size[1] * 1, size[0] * 4, size[1] * 4]], dtype=np.int64)
        assert ious[10] == paired_iou(exact, 10 * np.array([box], dtype=np.int64))[0]


def test_regions_touching_at_a_corner_are_one():
    saliency = np.eye(2, dtype=np.float32)
    assert best_ious(saliency, (2, 2), (0, 0, 2, 2))[0] == 1


def test_flat_maps():
    assert (best_ious(np.zeros((4, 4), np.float32), (4, 4), (0, 0, 4, 4)) == 0).all()
    assert (best_ious(np.full((4, 4), 0.3, np.float32), (4, 4), (0, 0, 4, 4)) == 1).all()


def slow_best_ious(saliency: np.ndarray, truth: tuple[int, ...]) -> list[float]:
    best = []
    for k in range(100):
        ious = [0.0]
        for region in regionprops(label(saliency > (k / 100) * saliency.max(), connectivity=2)):
            y1, x1, y2, x2 = region.bbox
            overlap = max(min(x2, truth[2]) - max(x1, truth[0]), 0) * max(min(y2, truth[3]) - max(y1, truth[1]), 0)
            both = (x2 - x1) * (y2 - y1) + (truth[2] - truth[0]) * (truth[3] - truth[1]) - overlap
            ious.append(overlap / both)
        best.append(max(ious))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_best_ious_equal_a_slow_loop(seed: int):
    saliency = smooth_map(60, 90, seed)
    truth = tuple(some_boxes(1, (90, 60), seed)[0].tolist())
    np.testing.assert_allclose(best_ious(saliency, (90, 60), truth), slow_best_ious(saliency, truth))


@settings(max_examples=25, deadline=None)
@given(arrays.arrays(np.float32, (7, 9), elements=st.floats(0, 1, width=16)))
def test_best_ious_equal_a_slow_loop_on_any_map(saliency: np.ndarray):
    np.testing.assert_allclose(best_ious(saliency, (9, 7), (2, 1, 8, 5)), slow_best_ious(saliency, (2, 1, 8, 5)))


def test_the_mean_is_over_pictures_not_maps_held_together():
    maps = [smooth_map(40, 50, seed) for seed in range(6)]
    truth = some_boxes(6, (50, 40))
    accuracy = np.mean(
        [
            np.array(slow_best_ious(m, tuple(t)))[None] >= [[0.3], [0.5], [0.7]]
            for m, t in zip(maps, truth, strict=True)
        ],
        axis=0,
    ).max(1)
    result = max_box_acc(iter(maps), [(50, 40)] * 6, truth)
    assert list(result.per_iou.values()) == pytest.approx(accuracy)
    assert result.mean == pytest.approx(accuracy.mean())


def test_large_maps_are_judged_nearly_alike_when_reduced():
    saliency = smooth_map(320, 240)
    truth = (30, 40, 200, 250)
    difference = best_ious(saliency, (240, 320), truth) - slow_best_ious(saliency, truth)
    assert np.abs(difference).mean() < 0.01


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.5])
def test_maps_outside_0_to_1_are_refused(bad: float):
    with pytest.raises(ValueError, match="must stay in"):
        MaxBoxAcc().add(np.array([[0.5, bad]]), (2, 1), (0, 0, 2, 1))


def test_nothing_to_judge():
    with pytest.raises(ValueError, match="no saliency map"):
        MaxBoxAcc().result()
    with pytest.raises(ValueError, match="no boxes"):
        best_centre_share([], np.empty((0, 4), dtype=np.int32))


def test_centre_box():
    assert centre_boxes([(100, 60)], 0.5).tolist() == [[25, 15, 75, 45]]
    assert centre_boxes([(100, 60)], 1.0).tolist() == [[0, 0, 100, 60]]
    assert centre_boxes([(3, 3)], 0.01).tolist() == [[1, 1, 2, 2]]


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.01, 1))
def test_the_centre_box_is_centred_and_inside(width: int, height: int, share: float):
    [(x1, y1, x2, y2)] = centre_boxes([(width, height)], share).tolist()
    assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    assert abs(x1 - (width - x2)) <= 1 and abs(y1 - (height - y2)) <= 1


def test_best_centre_share_beats_every_other():
    sizes, truth = [(100, 80)] * 60, some_boxes(60)
    best = best_centre_share(sizes, truth)
    shares = [share_of(centre_boxes(sizes, k / 100), truth) for k in range(1, 101)]
    assert shares[round(100 * best) - 1] == max(shares)


def test_best_centre_share_finds_the_share_that_drew_the_boxes():
    sizes = [(200, 100), (100, 300), (400, 400)]
    assert best_centre_share(sizes, centre_boxes(sizes, 0.62)) == 0.62


def test_the_centre_map_finds_the_best_centre_box():
    sizes = [(200, 100), (100, 300), (400, 400)]
    for share in (0.3, 0.62, 0.9):
        truth = centre_boxes(sizes, share)
        assert max_box_acc([centre_saliency()] * 3, sizes, truth).mean == 1
    saliency = centre_saliency((30, 20))
    assert saliency.shape == (20, 30)
    assert saliency.max() == 1
    np.testing.assert_array_equal(saliency, saliency[::-1, ::-1])


def test_localize_puts_both_beside_each_other():
    sizes, truth = [(100, 80)] * 40, some_boxes(40)
    boxes = truth + np.array([0, 0, 2, 0], dtype=np.int32)
    meter = MaxBoxAcc()
    for size, box in zip(sizes, truth.tolist(), strict=True):
        saliency = np.zeros((80, 100), dtype=np.float32)
        saliency[box[1] : box[3], box[0] : box[2]] = 1
        meter.add(saliency, size, tuple(box))
    share = best_centre_share(sizes, truth)
    report = localize(boxes, truth, sizes, centre_share=share, max_box_acc=meter.result())
    assert report.ours.share == {"0.3": 1, "0.5": 1, "0.7": 1}
    assert report.ours.max_box_acc is not None and report.ours.max_box_acc.mean == 1
    centre = centre_boxes(sizes, share)
    assert report.centre.share["0.5"] == share_of(centre, truth)
    assert report.centre.mean_iou == pytest.approx(paired_iou(centre, truth).mean())
    assert report.centre.max_box_acc == max_box_acc([centre_saliency()] * 40, sizes, truth)
    assert report.gain.value == pytest.approx(1 - report.centre.share["0.5"])
    low, high = report.centre.share_interval
    assert low <= report.centre.share["0.5"] <= high
    json.dumps(report.to_dict(), allow_nan=False)


def test_localize_without_maps():
    report = localize(some_boxes(3), some_boxes(3), [(100, 80)] * 3, centre_share=0.5)
    assert report.ours.max_box_acc is None
    assert report.centre.max_box_acc is None
