"""The order of worth: oracle a loop over all pairs, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from wingbar.review.worth import doubt, order_of_worth


def directions(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_hand(doubts: np.ndarray, features: np.ndarray) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < len(doubts):
        worth = {
            i: (doubts[i] + 1e-6) * (min([1.0, *(max(1 - features[i] @ features[j], 0) for j in chosen)]) + 1e-6)
            for i in range(len(doubts))
            if i not in chosen
        }
        chosen.append(max(worth, key=lambda i: worth[i]))
    return chosen


def test_the_order_is_that_of_a_loop_over_all_pairs() -> None:
    doubts, features = np.random.default_rng(1).random(30), directions(30)
    assert order_of_worth(doubts, features) == by_hand(doubts, features)


def test_ten_frames_of_one_bird_do_not_come_first() -> None:
    """Ten equal doubtful pictures and ten less doubtful ones that differ: only one of the equal ones leads."""
    features = np.concatenate([np.tile(directions(1), (10, 1)), directions(10, seed=3)])
    order = order_of_worth(np.array([0.9] * 10 + [0.5] * 10), features)
    assert order[0] < 10 and all(place >= 10 for place in order[1:10])


def test_pictures_beyond_the_first_come_by_doubt() -> None:
    doubts = np.random.default_rng(2).random(40)
    order = order_of_worth(doubts, directions(40), first=10)
    assert sorted(order) == list(range(40)) and order[10:] == sorted(order[10:], key=lambda place: -doubts[place])
    assert order_of_worth(np.zeros(0), directions(0)) == []


@pytest.mark.parametrize(("scores", "told"), [({"a": 0.5, "b": 0.5}, 1), ({"a": 0.9, "b": 0.1}, 0.2), ({"a": 1.0}, 0)])
def test_doubt_is_how_near_the_second_comes(scores: dict[str, float], told: float) -> None:
    assert doubt(scores) == pytest.approx(told)
