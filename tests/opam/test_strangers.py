"""Strangers: told from pictures of known classes in a made-up world, and what is kept of too few pictures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score

from wingbar.opam.strangers import KEPT, centres, directions, fit_strangers, signs_of_known, votes_of

CHANNELS, CLASSES, ALL = 40, 6, 10


def world(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """What the classes look like; a head of the first `CLASSES`."""
    looks = rng.normal(size=(ALL, CHANNELS))
    return looks, 0.3 * looks[:CLASSES]


def seen(looks: np.ndarray, head: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple:
    """Votes and features of pictures of these classes."""
    features = looks[labels] + rng.normal(size=(len(labels), CHANNELS))
    return log_softmax(features @ head.T, -1), {"object": features}


def test_unknown_classes_are_told_and_the_threshold_keeps_known_ones() -> None:
    rng = np.random.default_rng(0)
    looks, head = world(rng)
    training, held, fresh = (rng.integers(0, CLASSES, count) for count in (300, 200, 500))
    means = centres(seen(looks, head, training, rng)[1], training, CLASSES)
    rule = fit_strangers(*seen(looks, head, held, rng), held, means)
    assert rule is not None and rule.caught > 0.5
    known = rule.known(signs_of_known(*seen(looks, head, fresh, rng), means))
    strange = rule.known(signs_of_known(*seen(looks, head, rng.integers(CLASSES, ALL, 500), rng), means))
    assert roc_auc_score(np.arange(1000) < 500, np.concatenate([known, strange])) > 0.9
    assert (known >= rule.threshold).mean() == pytest.approx(KEPT, abs=0.04)  # four standard errors


def test_signs_are_the_lead_of_the_first_class_and_the_likest_mean() -> None:
    votes = votes_of(np.array([[[0.8, 0.1, 0.1]], [[0.2, 0.6, 0.2]]]), [1.0, 0.0])
    means = centres({"picture": np.eye(3)}, np.arange(3), 3)
    signs = signs_of_known(votes, {"picture": np.array([[3.0, 4.0, 0.0]])}, means)
    np.testing.assert_allclose(signs, [[np.log(8) * 2 / 3, 0.8]], rtol=1e-6)


def test_a_mean_direction_has_length_one_and_nothing_has_none() -> None:
    np.testing.assert_allclose(directions(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize(("pictures", "classes"), [(0, 3), (19, 3), (40, 2)])
def test_too_few_pictures_or_classes_make_no_rule(pictures: int, classes: int) -> None:
    rng = np.random.default_rng(0)
    votes = log_softmax(rng.normal(size=(pictures, classes)), -1)
    means = centres({"object": np.eye(classes)}, np.arange(classes), classes)
    labels = np.arange(pictures) % classes
    assert fit_strangers(votes, {"object": rng.normal(size=(pictures, classes))}, labels, means) is None


def test_signs_that_tell_nothing_make_no_rule_or_a_vague_one() -> None:
    rng = np.random.default_rng(0)
    votes, features = np.log(np.full((60, 3), 1 / 3)), {"object": np.ones((60, 3))}
    means = centres({"object": np.ones((3, 3))}, np.arange(3), 3)
    rule = fit_strangers(votes, features, rng.integers(0, 3, 60), means)
    assert rule is None or rule.caught <= 0.5
