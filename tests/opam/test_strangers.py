"""Strangers: told from pictures of known classes in a made-up world, and what is kept of too few pictures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score

from wingbar.opam.strangers import (
    AXES,
    KEPT,
    fit_strangers,
    from_arrays,
    scatters,
    signs_of_known,
    to_arrays,
    votes_of,
)

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
    known = scatters(seen(looks, head, training, rng)[1], training, CLASSES)
    rule = fit_strangers(*seen(looks, head, held, rng), held, known)
    assert rule is not None and rule.caught > 0.5
    likely = rule.known(signs_of_known(*seen(looks, head, fresh, rng), known))
    strange = rule.known(signs_of_known(*seen(looks, head, rng.integers(CLASSES, ALL, 500), rng), known))
    assert roc_auc_score(np.arange(1000) < 500, np.concatenate([likely, strange])) > 0.9
    assert (likely >= rule.threshold).mean() == pytest.approx(KEPT, abs=0.04)  # four standard errors


def test_signs_are_the_lead_of_the_first_class_and_a_difference_of_mahalanobis_distances() -> None:
    """Against scikit-learn's shrunk covariances and their distances."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % CLASSES
    vectors = rng.normal(size=(ALL, CHANNELS))[labels] + rng.normal(size=(300, CHANNELS))
    known = scatters({"picture": vectors}, labels, CLASSES)["picture"]
    length_one = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    means = np.stack([length_one[labels == label].mean(0) for label in range(CLASSES)])
    within = LedoitWolf(assume_centered=True).fit(length_one - means[labels])
    whole = LedoitWolf().fit(length_one)
    new = rng.normal(size=(20, CHANNELS))
    places = new / np.linalg.norm(new, axis=1, keepdims=True)
    to_class = np.min([within.mahalanobis(places - mean) for mean in means], axis=0)
    np.testing.assert_allclose(
        known.nearness(new), np.minimum(whole.mahalanobis(places), CHANNELS) - to_class, rtol=2e-3, atol=1e-2
    )
    votes = votes_of(np.array([[[0.8, 0.1, 0.1]], [[0.2, 0.6, 0.2]]]), [1.0, 0.0])
    signs = signs_of_known(votes, {"picture": new[:1]}, {"picture": known})
    np.testing.assert_allclose(signs, [[np.log(8) * 2 / 3, known.nearness(new[:1])[0]]], rtol=1e-6)


@pytest.mark.parametrize(
    ("pictures", "channels", "classes"), [(300, 100, 6), (30, 100, 6), (6, 100, 6), (12, 1, 3), (40, 8, 2)]
)
def test_few_pictures_axes_or_channels_give_finite_numbers(pictures: int, channels: int, classes: int) -> None:
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(size=(pictures - 1, channels)), np.zeros((1, channels))])
    scatter = scatters({"object": vectors}, np.arange(pictures) % classes, classes)["object"]
    assert scatter.axes.shape == (channels, min(channels, AXES)) and (scatter.spread > 0).all()
    assert np.isfinite(scatter.nearness(vectors)).all()


def test_where_the_classes_lie_is_kept_whole_and_what_is_no_such_thing_is_refused() -> None:
    arrays = to_arrays(scatters({"object": np.eye(9)}, np.arange(9) % 3, 3))
    again = to_arrays(from_arrays(arrays))
    assert again.keys() == arrays.keys() and all(np.array_equal(again[name], arrays[name]) for name in arrays)
    for change in ({"object.spread": arrays["object.spread"] * 0}, {"object.axes": arrays["object.axes"][0]}):
        with pytest.raises(ValueError, match="axes"):
            from_arrays({**arrays, **change})


@pytest.mark.parametrize(("pictures", "classes"), [(0, 3), (19, 3), (40, 2)])
def test_too_few_pictures_or_classes_make_no_rule(pictures: int, classes: int) -> None:
    rng = np.random.default_rng(0)
    votes = log_softmax(rng.normal(size=(pictures, classes)), -1)
    known = scatters({"object": np.eye(classes)}, np.arange(classes), classes)
    labels = np.arange(pictures) % classes
    assert fit_strangers(votes, {"object": rng.normal(size=(pictures, classes))}, labels, known) is None


def test_signs_that_tell_nothing_make_no_rule_or_a_vague_one() -> None:
    rng = np.random.default_rng(0)
    votes, features = np.log(np.full((60, 3), 1 / 3)), {"object": np.ones((60, 3))}
    known = scatters({"object": np.ones((3, 3))}, np.arange(3), 3)
    rule = fit_strangers(votes, features, rng.integers(0, 3, 60), known)
    assert rule is None or rule.caught <= 0.5
