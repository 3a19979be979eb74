from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold

from wingbar.data.splits import folds, going_on_split, random_folds, validation_split
from wingbar.errors import ConfigError, DataError

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(np.array)
SEEDS = st.integers(0, 2**32)


@given(LABELS, st.floats(0.01, 0.99), SEEDS)
def test_a_validation_cut_is_a_stratified_partition(labels: np.ndarray, fraction: float, seed: int) -> None:
    sizes = np.bincount(labels)
    if sizes.max() < 2:
        with pytest.raises(DataError, match="no class has two pictures"):
            validation_split(labels, fraction, seed)
        return
    train, validation = validation_split(labels, fraction, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(labels)))
    assert (np.diff(train) > 0).all() and (np.diff(validation) > 0).all()
    held = np.bincount(labels[validation], minlength=len(sizes))
    assert (held[sizes >= 2] >= 1).all() and (held[sizes >= 2] < sizes[sizes >= 2]).all()
    assert (held[sizes < 2] == 0).all()
    # as near to the fraction as whole pictures, at least one on either side, allow
    wanted = np.clip(fraction * sizes, 1, np.maximum(sizes - 1, 1))
    assert (np.abs(held - wanted)[sizes >= 2] <= 0.5 + 1e-9).all()


def test_the_seed_decides_the_cut() -> None:
    labels = np.repeat(np.arange(5), 30)
    cuts = [validation_split(labels, 0.2, seed)[1].tolist() for seed in (0, 0, 1)]
    assert cuts[0] == cuts[1] != cuts[2] and len(cuts[0]) == 30


def test_the_first_classes_are_cut_as_in_the_whole() -> None:
    labels = np.repeat(np.arange(5), 30)
    whole, part = validation_split(labels, 0.1, 3)[1], validation_split(labels[:60], 0.1, 3)[1]
    np.testing.assert_array_equal(whole[whole < 60], part)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 10.0, float("nan")])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        validation_split(np.array([0, 0, 1, 1]), fraction, 0)


@given(st.lists(st.integers(2, 12), min_size=1, max_size=6), st.integers(2, 6), SEEDS)
def test_each_picture_is_held_out_once_and_its_class_is_known(sizes: list[int], k: int, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    if len(labels) < k:
        with pytest.raises(DataError, match="cannot fill"):
            folds(labels, k, seed)
        return
    cuts = folds(labels, k, seed)
    assert len(cuts) == k
    np.testing.assert_array_equal(np.sort(np.concatenate([held for _, held in cuts])), np.arange(len(labels)))
    shares = np.array([np.bincount(labels[held], minlength=len(sizes)) for _, held in cuts])
    assert np.ptp(shares, axis=0).max() <= 1 and np.ptp(shares.sum(axis=1)) <= 1
    for train, held in cuts:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), np.arange(len(labels)))
        assert (np.diff(train) > 0).all() and (np.diff(held) > 0).all()
        assert set(labels[train]) == set(range(len(sizes)))


@pytest.mark.parametrize("k", [2, 3, 5])
def test_folds_have_the_class_shares_of_scikit_learn(k: int) -> None:
    labels = np.repeat(np.arange(4), [5, 30, 12, 8])
    peer = StratifiedKFold(k, shuffle=True, random_state=0).split(labels, labels)

    def shares(cuts: object) -> list[list[int]]:
        return np.sort([np.bincount(labels[held]) for _, held in cuts], axis=0).tolist()

    assert shares(folds(labels, k, 0)) == shares(peer)


def test_the_seed_decides_the_folds() -> None:
    labels = np.repeat(np.arange(3), 10)
    held = [[h.tolist() for _, h in folds(labels, 3, seed)] for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]


def test_impossible_folds_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2 folds"):
        folds(np.array([0, 0, 1, 1]), 1, 0)
    with pytest.raises(DataError, match="class number 1 has one picture"):
        folds(np.array([0, 0, 1]), 2, 0)


def old_cut(labels: np.ndarray, fraction: float, seed: int) -> list[int]:
    """The cut as it was before there were groups: the figures of docs/results.md rest on it."""
    generator = np.random.default_rng(seed)
    held = []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        held += members[: min(max(round(fraction * len(members)), 1), len(members) - 1)].tolist()
    return sorted(held)


grouped = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=2, max_size=80)


@given(grouped, st.floats(0.05, 0.6), st.integers(0, 5))
def test_no_cut_splits_a_group_and_none_is_as_before(rows: list, fraction: float, seed: int) -> None:
    labels, groups = np.array(rows).T
    if max(np.bincount(labels)) < 2:
        return
    alone = validation_split(labels, fraction, seed, np.arange(len(labels)))[1].tolist()
    assert alone == validation_split(labels, fraction, seed)[1].tolist() == old_cut(labels, fraction, seed)
    try:
        train, validation = validation_split(labels, fraction, seed, groups)
    except DataError:
        return
    assert not set(groups[train]) & set(groups[validation])
    assert set(labels) == set(labels[train]) and sorted([*train, *validation]) == list(range(len(labels)))
    for held in (h for _, h in random_folds(len(labels), 2, seed, groups)):
        assert not set(groups[held]) & set(np.delete(groups, held))


@given(grouped, st.integers(2, 5), st.integers(0, 5))
def test_folds_keep_groups_together_unless_that_hid_a_class(rows: list, k: int, seed: int) -> None:
    labels, groups = np.array(rows).T
    if min(np.unique(labels, return_counts=True)[1]) < 2 or len(labels) < k:
        return
    split = {
        group for train, held in folds(labels, k, seed, groups) for group in set(groups[train]) & set(groups[held])
    }
    whole = {int(groups[labels == label][0]) for label in labels if len(set(groups[labels == label])) == 1}
    assert split <= whole


def test_random_folds_without_groups_are_scikit_learns() -> None:
    ours = random_folds(23, 5, 3)
    theirs = KFold(5, shuffle=True, random_state=3).split(np.zeros(23))
    assert [(a.tolist(), b.tolist()) for a, b in ours] == [(a.tolist(), b.tolist()) for a, b in theirs]


def test_what_was_learnt_stays_in_training_and_what_was_held_out_stays_out() -> None:
    labels = np.repeat([0, 1, 2], [6, 6, 10])
    groups = np.arange(22)
    groups[12] = groups[0]  # a new picture of an occasion that was learnt from
    learnt, held = np.zeros(22, bool), np.zeros(22, bool)
    learnt[:4], held[4:6], learnt[6:10], held[10:12] = True, True, True, True
    training, validation = going_on_split(labels, 0.2, 0, groups, learnt, held)
    assert {0, 1, 2, 3, 6, 7, 8, 9, 12} <= {*training} and {4, 5, 10, 11} <= {*validation}
    assert (labels[validation] == 2).sum() == 2 and sorted([*training, *validation]) == list(range(22))


def test_a_class_that_was_all_held_out_is_learnt_from() -> None:
    held = np.array([False, False, True, True, True])
    training, validation = going_on_split(np.array([0, 0, 0, 1, 1]), 0.2, 0, np.arange(5), ~held, held)
    assert training.tolist() == [0, 1, 3, 4] and validation.tolist() == [2]
    with pytest.raises(DataError, match="learnt from all of these pictures"):
        going_on_split(np.array([0, 0]), 0.2, 0, np.arange(2), np.ones(2, bool), np.zeros(2, bool))
