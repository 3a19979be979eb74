"""The joint head. Oracle: scikit-learn's discriminant analysis with the same shrinkage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from wingbar.opam.calibration import held_folds
from wingbar.opam.joint import SHRINKAGE, Known, contraction, fit_heads, fit_joint, fit_second, like_new


def pictures(count: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of two views that differ in size, of four classes that occur equally often."""
    rng = np.random.default_rng(3)
    labels = np.arange(count) % 4
    centres = rng.normal(size=(4, 2, channels))
    features = (centres[labels] + rng.normal(size=(count, 2, channels))) * np.array([1.0, 30.0])[:, None]
    return features.astype(np.float32), labels


@pytest.mark.parametrize(("count", "channels"), [(400, 6), (24, 40)], ids=["more pictures", "more channels"])
def test_it_is_the_shrunk_linear_discriminant_of_views_of_equal_length(count: int, channels: int) -> None:
    features, labels = pictures(count, channels)
    lengths = np.sqrt((features**2).sum(2).mean(0))
    rows = (features / lengths[:, None]).reshape(count, -1)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(rows, labels)
    expected = oracle.decision_function(rows)
    expected -= expected.mean(1, keepdims=True)  # what is said for all classes alike says nothing
    logits = fit_joint(features, labels, 4).logits(features)
    logits -= logits.mean(1, keepdims=True)
    np.testing.assert_allclose(logits, expected / expected.std(), rtol=2e-3, atol=2e-3)


def test_the_unit_of_a_views_features_does_not_matter() -> None:
    features, labels = pictures(40, 12)
    scaled = features * np.float32([[1000.0], [0.01]])
    one, other = fit_joint(features, labels, 4), fit_joint(scaled, labels, 4)
    np.testing.assert_allclose(one.logits(features), other.logits(scaled), rtol=1e-3, atol=1e-3)


def test_views_that_never_vary_do_no_harm() -> None:
    features, labels = pictures(40, 12)
    features[:, 1] = 0
    head = fit_joint(features, labels, 4)
    assert np.isfinite(head.weight).all() and np.isfinite(head.bias).all()
    assert (head.logits(features).argmax(1) == labels).mean() > 0.9
    assert np.isfinite(fit_joint(np.zeros_like(features), labels, 4).logits(features)).all()


def test_nothing_speaks_for_all_classes_alike() -> None:
    features, labels = pictures(24, 40)
    head = fit_joint(features + 50, labels, 4)
    assert np.abs(head.weight.mean(1)).max() < 1e-4 * np.abs(head.weight).max()


def test_the_second_head_counts_as_much_as_what_is_said_already() -> None:
    features, labels = pictures(40, 12)
    said = np.random.default_rng(5).normal(1000, 7, (40, 4)).astype(np.float32)
    second, alone = fit_second(said, features, labels), fit_joint(features, labels, 4)
    deviation = (said - said.mean(1, keepdims=True)).std()
    np.testing.assert_allclose(second.logits(features), alone.logits(features) * deviation, rtol=1e-3, atol=1e-3)
    silent = fit_second(np.ones((40, 4), np.float32), features, labels)
    np.testing.assert_allclose(silent.weight, alone.weight, rtol=1e-5)


def learnt_and_held() -> tuple[Known, Known]:
    """Forty pictures that were learnt and forty that were held out, and what a net that knows nothing says of them."""
    features, labels = pictures(80, 12)
    said = np.random.default_rng(5).normal(size=(80, 4)).astype(np.float32)
    known = Known(said, features, labels)
    return known.at(np.arange(40)), known.at(np.arange(40, 80))


def test_heads_learn_from_held_out_pictures_too() -> None:
    learnt, held = learnt_and_held()
    heads = fit_heads(learnt, held, held_folds(40, 0, None))
    both = like_new(learnt, contraction(learnt, held)) + held
    np.testing.assert_array_equal(heads.joint.weight, fit_joint(both.features, both.labels, 4).weight)
    np.testing.assert_array_equal(heads.second.bias, fit_second(both.logits, both.features[:, :1], both.labels).bias)


def test_heads_learn_from_all_that_any_fold_learns_from_and_from_nothing_else() -> None:
    learnt, held = learnt_and_held()
    heads = fit_heads(learnt, held, [(np.arange(9), np.arange(20, 40)), (np.arange(20, 25), np.arange(20))])
    some = held.at(np.array([*range(9), *range(20, 25)]))
    both = like_new(learnt, contraction(learnt, some)) + some
    np.testing.assert_array_equal(heads.joint.weight, fit_joint(both.features, both.labels, 4).weight)
    assert (np.abs(heads.joint_held).sum(1) > 0).all()


def class_means(known: Known) -> np.ndarray:
    return np.stack([known.features[known.labels == label].mean(0) for label in range(4)])


def test_learnt_classes_lie_as_far_apart_as_held_out_ones_also_those_that_have_none() -> None:
    learnt, _ = learnt_and_held()
    means = class_means(learnt)
    middle = means.mean(0)
    factors = np.array([0.5, 0.8], np.float32)
    new = middle + factors[:, None] * (means - middle)
    held = Known(learnt.logits[:3], new[[0, 1, 1]].astype(np.float32), np.array([0, 1, 1]))
    np.testing.assert_allclose(contraction(learnt, held), factors, rtol=1e-5)
    moved = like_new(learnt, factors)
    np.testing.assert_allclose(class_means(moved), new, rtol=1e-4, atol=1e-4)
    within = learnt.features - means[learnt.labels]
    np.testing.assert_allclose(moved.features - class_means(moved)[learnt.labels], within, rtol=1e-3, atol=1e-4)


def test_learnt_classes_never_move_apart_and_stay_without_held_out_pictures() -> None:
    learnt, held = learnt_and_held()
    np.testing.assert_array_equal(contraction(learnt, held.at(np.arange(0))), 1)
    np.testing.assert_array_equal(like_new(learnt, np.ones(2, np.float32)).features, learnt.features)
    means = class_means(learnt)
    farther = Known(learnt.logits[:4], (means.mean(0) + 3 * (means - means.mean(0))).astype(np.float32), np.arange(4))
    np.testing.assert_array_equal(contraction(learnt, farther), 1)
    same = Known(learnt.logits, np.ones_like(learnt.features), learnt.labels)
    np.testing.assert_array_equal(contraction(same, held), 1)


def test_a_training_that_holds_nothing_out_moves_the_classes_as_far_as_an_earlier_one() -> None:
    learnt, held = learnt_and_held()
    none, factors = held.at(np.arange(0)), np.full(2, 0.7, np.float32)
    heads = fit_heads(learnt, none, [], kept=0.7)
    moved = like_new(learnt, factors)
    np.testing.assert_array_equal(heads.contraction, factors)
    np.testing.assert_array_equal(heads.joint.weight, fit_joint(moved.features, moved.labels, 4).weight)
    assert np.abs(heads.joint.weight - fit_heads(learnt, none, []).joint.weight).max() > 1e-3
    np.testing.assert_array_equal(
        fit_heads(learnt, held, held_folds(40, 0, None)).contraction, contraction(learnt, held)
    )


def test_what_is_said_of_a_held_out_picture_does_not_hang_on_its_label() -> None:
    learnt, held = learnt_and_held()
    folds = held_folds(40, 0, None)
    heads = fit_heads(learnt, held, folds)
    for _, asked in folds:
        labels = held.labels.copy()
        labels[asked] = (labels[asked] + 1) % 4
        others = fit_heads(learnt, Known(held.logits, held.features, labels), folds)
        np.testing.assert_array_equal(others.joint_held[asked], heads.joint_held[asked])
        np.testing.assert_array_equal(others.second_held[asked], heads.second_held[asked])
        assert np.abs(others.joint.weight - heads.joint.weight).max() > 1e-3


def test_too_few_held_out_pictures_are_not_learnt_from() -> None:
    learnt, held = learnt_and_held()
    few = held.at(np.arange(9))
    heads = fit_heads(learnt, few, held_folds(9, 0, None))
    alone = fit_joint(learnt.features, learnt.labels, 4)
    np.testing.assert_array_equal(heads.joint.weight, alone.weight)
    np.testing.assert_array_equal(heads.joint_held, alone.logits(few.features))
    none = fit_heads(learnt, held.at(np.arange(0)), [])
    assert none.joint_held.shape == (0, 4)
