"""What a random split flatters by: much where frames of one bird are alike, nothing where they are not."""

from __future__ import annotations

import numpy as np

from wingbar.opam import occasions
from wingbar.opam.occasions import random_and_grouped, sampled
from wingbar.steps.occasions import flattery


def bursts(alike: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of 4 classes, 10 occasions of each, 6 frames of each; those of one occasion are ``alike``."""
    groups = np.arange(40).repeat(6)
    labels = groups % 4
    of_class, of_group = rng.normal(size=(4, 64)), rng.normal(size=(40, 64))
    return 0.4 * of_class[labels] + alike * of_group[groups] + rng.normal(size=(240, 64)), labels, groups


def test_bursts_flatter_and_pictures_that_have_nothing_in_common_do_not() -> None:
    rng = np.random.default_rng(0)
    random, grouped = random_and_grouped(*bursts(2.0, rng), seed=0)
    assert random > grouped + 0.2
    assert "would flatter by" in flattery(random, grouped)
    random, grouped = random_and_grouped(*bursts(0.0, rng), seed=0)
    assert abs(random - grouped) < 0.06
    assert flattery(0.5, 0.5) == "a random split would not flatter"


def test_occasion_by_occasion_is_drawn(monkeypatch) -> None:
    monkeypatch.setattr(occasions, "MOST", 64)
    _, labels, groups = bursts(1.0, np.random.default_rng(1))
    some = sampled(labels, groups, seed=0)
    assert sorted(np.unique(groups[some], return_counts=True)[1].tolist()) == [4] + [6] * 10
    assert sampled(np.arange(9), np.arange(9), seed=0).tolist() == []
    assert sampled(np.array([0, 1, 1]), np.array([0, 1, 2]), seed=0).tolist() == [1, 2]
