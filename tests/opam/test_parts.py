"""Part selection against an oracle that counts pixels of masks, over every pair."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy import ndarray

from wingbar.boxes import intersection
from wingbar.opam import parts
from wingbar.opam._sets import set_value
from wingbar.opam.parts import PartSettings, choose_parts, select_parts, summed_saliency

SHAPE = (13, 15)
TARGET = (2, 2, 11, 10)


def random_case(rng: np.random.Generator, count: int) -> tuple[ndarray, ndarray]:
    saliency = rng.random(SHAPE, dtype=np.float32) * (rng.random(SHAPE) > 0.4)
    x = np.sort(rng.integers(0, SHAPE[1] + 3, (count, 2)), axis=1)
    y = np.sort(rng.integers(0, SHAPE[0] + 3, (count, 2)), axis=1)
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
    boxes[rng.integers(count)] = boxes[rng.integers(count)]  # identical boxes
    return boxes.astype(np.int32), saliency.astype(np.float32)


def mask(box: ndarray | tuple[int, ...]) -> ndarray:
    picture = np.zeros(SHAPE, bool)
    picture[max(box[1], 0) : max(box[3], 0), max(box[0], 0) : max(box[2], 0)] = True
    return picture


def delta_part(boxes: ndarray, saliency: ndarray) -> float:
    """Delta_part as the paper writes it, from pixels."""
    masks = [mask(box) for box in boxes]
    union, common = np.any(masks, axis=0), np.all(masks, axis=0)
    if len(boxes) == 1:
        common = np.zeros_like(union)
    gain = union.sum() - common.sum() - (union & ~mask(TARGET)).sum()
    if gain <= 0 or saliency[union].sum() == 0:
        return -np.inf
    return float(np.log(gain) + np.log(saliency[union].astype(np.float64).mean()))


def oracle(boxes: ndarray, saliency: ndarray, count: int) -> tuple[tuple[int, ...], float]:
    best, score = tuple(range(count)), -np.inf
    for chosen in combinations(range(len(boxes)), count):
        value = delta_part(boxes[list(chosen)], saliency)
        if value > score + 1e-9:
            best, score = chosen, value
    return best, score


@pytest.mark.parametrize("seed", range(60))
def test_pairs_are_the_optimum_over_all_pairs(seed: int) -> None:
    boxes, saliency = random_case(np.random.default_rng(seed), 10)
    chosen = select_parts(boxes, TARGET, saliency, object_constraint=False)
    best, score = oracle(boxes, saliency, 2)
    assert delta_part(boxes[chosen], saliency) == pytest.approx(score, rel=1e-6)
    assert tuple(chosen) == best  # ties too: the first in the candidates' order


def first_best(boxes: ndarray, saliency: ndarray, count: int) -> list[int]:
    """The first set with the largest exp(Delta_part), from the pixels of every set, in whole 2^-24ths."""
    sets = np.array(list(combinations(range(len(boxes)), count)))
    masks = np.stack([mask(box).ravel() for box in boxes])[sets]
    union, common = masks.any(1), masks.all(1)
    gain = union.sum(1) - common.sum(1) - (union & ~mask(TARGET).ravel()).sum(1)
    total = union @ np.round(saliency.astype(np.float64) * 2**24).astype(np.int64).ravel()
    values = np.where(gain > 0, gain * (total / np.maximum(union.sum(1), 1)), 0.0)
    return list(sets[np.argmax(values)])


MAPS = {
    "random": lambda rng: rng.random(SHAPE),
    "ties": lambda rng: rng.integers(0, 2, SHAPE) / 2,
    "flat": lambda rng: np.ones(SHAPE),
    "nothing": lambda rng: np.zeros(SHAPE),
}


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize(("count", "number"), [(2, 300), (3, 50)])
def test_bounds_lose_no_set_and_no_tie(count: int, number: int, kind: str) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        boxes = random_case(rng, number)[0]
        saliency = MAPS[kind](rng).astype(np.float32)
        chosen = select_parts(boxes, TARGET, saliency, count, object_constraint=False)
        assert chosen.tolist() == first_best(boxes, saliency, count)


def test_bounds_hold_over_many_blocks() -> None:
    """Triples of more boxes than a block holds: the beam is no better, and both score as the paper says."""
    rng = np.random.default_rng(0)
    boxes, saliency = np.tile(np.array([0, 0, 2, 2]), (290, 1)), np.ones(SHAPE, np.float32)
    boxes[[3, 140, 288]] = [[2, 2, 11, 5], [2, 5, 11, 8], [2, 8, 11, 10]]  # together the whole object
    boxes = boxes[order := rng.permutation(290)]
    chosen = select_parts(boxes, TARGET, saliency, 3, object_constraint=False)
    assert set(order[chosen]) == {3, 140, 288}


@pytest.mark.parametrize("count", [2, 3])
def test_bounds_hold_on_pictures_too_large_for_float32(count: int) -> None:
    saliency = np.zeros((2100, 2100), np.float32)
    saliency[:1500, 500:] = 0.25
    boxes = np.random.default_rng(1).integers(0, 1000, (40, 4)) + np.array([0, 0, 1000, 1000])
    target = (100, 100, 2000, 1900)
    chosen = select_parts(boxes, target, saliency, count, object_constraint=False)
    table = parts.summed_saliency(saliency)
    sets = [np.array(one) for one in combinations(range(40), count)]
    assert chosen.tolist() == max(sets, key=lambda one: set_value(boxes, one, np.array(target), table)).tolist()


@pytest.mark.parametrize("count", [1, 3, 4])
@pytest.mark.parametrize("seed", range(8))
def test_small_sets_of_other_sizes_reach_the_optimum(seed: int, count: int) -> None:
    boxes, saliency = random_case(np.random.default_rng(seed), 7)
    chosen = select_parts(boxes, TARGET, saliency, count, object_constraint=False)
    assert delta_part(boxes[chosen], saliency) == pytest.approx(oracle(boxes, saliency, count)[1], rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_the_value_of_a_set_is_delta_part(seed: int) -> None:
    boxes, saliency = random_case(np.random.default_rng(seed), 3)
    boxes = np.clip(boxes.astype(np.int64), 0, np.tile(SHAPE[::-1], 2))
    value = set_value(boxes, np.arange(3), np.array(TARGET), summed_saliency(saliency))
    with np.errstate(divide="ignore"):
        assert float(np.log(value)) == pytest.approx(delta_part(boxes, saliency), rel=1e-6)


def test_the_choice_follows_the_map() -> None:
    boxes = np.array([[0, 0, 5, 5], [5, 0, 10, 5], [0, 5, 5, 10], [5, 5, 10, 10]])
    target = (0, 0, 10, 10)
    for first, second in combinations(range(4), 2):
        saliency = np.full((10, 10), 0.1, np.float32)
        for box in boxes[[first, second]]:
            saliency[box[1] : box[3], box[0] : box[2]] = 1.0
        assert select_parts(boxes, target, saliency, rule="iou", iou_threshold=0.2).tolist() == [first, second]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_candidates_never_crash(number: int, count: int) -> None:
    boxes = np.tile(np.array([[3, 3, 6, 6]], np.int32), (number, 1))
    for rule in ("containment", "iou"):
        chosen = select_parts(boxes, TARGET, np.zeros(SHAPE, np.float32), count, rule=rule)
        assert chosen.tolist() == list(range(min(count, number)))


def test_candidates_outside_the_picture_are_cut() -> None:
    saliency = np.ones(SHAPE, np.float32)
    boxes = np.array([[-5, -5, 0, 0], [20, 20, 30, 30], [2, 2, 11, 6], [2, 6, 11, 10]])
    assert select_parts(boxes, TARGET, saliency).tolist() == [2, 3]


@pytest.mark.parametrize("rule", ["containment", "iou"])
def test_a_feasible_set_beats_every_infeasible_one(rule: parts.FeasibilityRule) -> None:
    saliency = np.zeros(SHAPE, np.float32)
    saliency[11:, :] = 1.0  # all saliency lies below the object
    boxes = np.array([[2, 2, 11, 6], [2, 5, 11, 10], [0, 11, 7, 13], [8, 11, 15, 13]])
    assert select_parts(boxes, TARGET, saliency, rule=rule).tolist() == [0, 1]


def test_the_ladder_loosens_until_enough_candidates_pass() -> None:
    saliency = np.ones(SHAPE, np.float32)
    target, boxes = np.array(TARGET), np.array([[2, 2, 5, 5], [6, 6, 9, 9], [12, 0, 15, 2]])
    covered = intersection(boxes, target[None])[:, 0] / 72
    assert (covered[:2] < 0.2).all()  # too small for the first two steps
    assert select_parts(boxes, TARGET, saliency).tolist() == [0, 1]


def test_without_the_part_constraint_the_most_salient_are_taken() -> None:
    saliency = np.zeros(SHAPE, np.float32)
    saliency[3:6, 3:6] = 1.0
    boxes = np.array([[2, 2, 11, 10], [3, 3, 6, 6], [3, 3, 6, 7]])
    chosen = select_parts(boxes, TARGET, saliency, object_constraint=False, part_constraint=False)
    assert chosen.tolist() == [1, 2]


def test_parts_are_candidates_and_the_object_stands_in_for_none() -> None:
    saliency = np.ones((4, 4), np.float32)
    candidates = np.array([[0, 0, 100, 60], [0, 40, 100, 100], [90, 90, 100, 100]], np.int32)
    boxes = choose_parts(candidates, (0, 0, 100, 100), saliency, (100, 100), 50, PartSettings())
    assert boxes.tolist() == candidates[:2].tolist()
    assert choose_parts(
        np.zeros((0, 4), np.int32), (1, 2, 3, 4), saliency, (100, 100), 50, PartSettings()
    ).tolist() == [[1, 2, 3, 4]]
