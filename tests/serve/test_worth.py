"""The order of worth: oracle a loop over all pairs, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from wingbar.serve.review.worth import doubt, order_of_worth


def directions(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_hand(doubts: np.ndarray, features: np.ndarray, labelled: np.ndarray) -> list[int]:
    every = np.concatenate([features, labelled])
    moved = every - every.mean(0)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    known, chosen = list(range(len(features), len(every))), list[int]()
    while len(chosen) < len(doubts):
        worth = {}
        for j in set(range(len(doubts))) - {*chosen}:
            gains = [
                max(max(moved[i] @ moved[j], 0) - max([0, *(moved[i] @ moved[k] for k in known)]), 0)
                for i in range(len(doubts))
            ]
            worth[j] = sum((doubts[i] + 1e-6) * gain for i, gain in enumerate(gains))
        chosen.append(max(worth, key=lambda j: worth[j]))
        known.append(chosen[-1])
    return chosen


def test_the_order_is_that_of_a_loop_over_all_pairs() -> None:
    doubts, features, labelled = np.random.default_rng(1).random(12), directions(12), directions(3, seed=5)
    assert order_of_worth(doubts, features, labelled)[:8] == by_hand(doubts, features, labelled)[:8]


def test_ten_frames_of_one_bird_do_not_come_first() -> None:
    """Ten equal doubtful pictures and ten less doubtful ones that differ: only one of the equal ones leads."""
    features = np.concatenate([np.tile(directions(1), (10, 1)), directions(10, seed=3)])
    order = order_of_worth(np.array([0.9] * 10 + [0.5] * 10), features, directions(0))
    assert order[0] < 10 and all(place >= 10 for place in order[1:8])


def test_what_is_labelled_already_is_not_asked_for_first() -> None:
    features = directions(6)
    assert order_of_worth(np.full(6, 0.5), features, features[:5])[0] == 5


def test_pictures_beyond_the_first_come_by_doubt() -> None:
    doubts = np.random.default_rng(2).random(40)
    order = order_of_worth(doubts, directions(40), directions(4, seed=1), first=10)
    assert sorted(order) == list(range(40)) and order[10:] == sorted(order[10:], key=lambda place: -doubts[place])
    assert order_of_worth(np.zeros(0), directions(0), directions(0)) == []


@pytest.mark.parametrize(("scores", "told"), [({"a": 0.5, "b": 0.5}, 1), ({"a": 0.9, "b": 0.1}, 0.2), ({"a": 1.0}, 0)])
def test_doubt_is_how_near_the_second_comes(scores: dict[str, float], told: float) -> None:
    assert doubt(scores) == pytest.approx(told)
