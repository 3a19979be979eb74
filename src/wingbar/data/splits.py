"""Cutting the training pictures: a validation set to choose by, and folds for out-of-fold scores.

Both cuts are stratified (class by class), seeded, and return sorted indices into ``labels``. Nothing here
ever sees the test split. Pictures of one group, an occasion, stay together; where each is alone the cuts are those
without groups, and few groups change little.

Out of fold: each picture is held out in exactly one fold, and is scored by the net that was trained on the other folds.
Such scores are like those of new pictures, whereas a net scores its training pictures near 1 whatever they show.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from wingbar.errors import ConfigError, DataError


def validation_split(
    labels: Int[ndarray, " n"], fraction: float, seed: int, groups: Int[ndarray, " n"] | None = None
) -> tuple[Int[ndarray, " t"], Int[ndarray, " v"]]:
    """Indices to train on and to validate on: about ``fraction`` of each class is for validation.

    Each class of two or more has at least one picture on either side; a single picture stays in training.
    The cut of a class depends on the classes before it alone, so the first classes of a data set are
    cut as in the whole. With ``groups`` a class of few large ones may have no picture to validate on, and has at
    least half of its pictures in training. Raises ``ConfigError`` unless 0 < fraction < 1, and ``DataError`` if there
    is nothing to cut.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"the validation fraction must lie between 0 and 1, not {fraction:g}; try 0.1")
    groups = np.arange(len(labels)) if groups is None else groups
    held, members_of, decided = np.zeros(len(labels), bool), _members(groups), set[int]()
    total = np.bincount(labels)
    there = np.zeros_like(total)
    for members in _shuffled_classes(labels, seed):
        label = labels[members[0]]
        wanted = min(max(round(fraction * len(members)), 1), len(members) - 1)
        for group in groups[members].tolist():
            if there[label] >= wanted:
                break
            if group in decided:
                continue
            decided.add(group)
            pictures = members_of[group]
            after = there + np.bincount(labels[pictures], minlength=len(total))
            if len(pictures) == 1 or (after[labels[pictures]] <= total[labels[pictures]] / 2).all():
                held[pictures], there = True, after
    if not held.any():
        raise DataError("no class has two pictures, or two occasions, so no validation set can be cut; add pictures")
    return np.flatnonzero(~held), np.flatnonzero(held)


def going_on_split(
    labels: Int[ndarray, " n"],
    fraction: float,
    seed: int,
    groups: Int[ndarray, " n"],
    learnt: Bool[ndarray, " n"],
    held: Bool[ndarray, " n"],
) -> tuple[Int[ndarray, " t"], Int[ndarray, " v"]]:
    """`validation_split` of pictures some of which were cut before, for a net that has ``learnt`` from some of them.

    These stay in training, with all of their groups, and those that were ``held`` out stay held out. The others are
    cut as `validation_split` cuts them. Raises ``DataError`` if nothing is held out.
    """
    training = np.isin(groups, groups[learnt])
    validation = np.isin(groups, groups[held]) & ~training
    others = np.flatnonzero(~training & ~validation)
    if (np.bincount(labels[others], minlength=1) > 1).any():
        validation[others[validation_split(labels[others], fraction, seed, groups[others])[1]]] = True
    taught = np.unique(labels[~validation])
    validation &= np.isin(labels, taught)  # a class whose pictures were all held out is learnt from them
    if not validation.any():
        raise DataError("the net has learnt from all of these pictures, so no validation set can be cut; add pictures")
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def folds(
    labels: Int[ndarray, " n"], k: int, seed: int, groups: Int[ndarray, " n"] | None = None
) -> list[tuple[Int[ndarray, " t"], Int[ndarray, " v"]]]:
    """``k`` pairs (indices to train on, indices held out); the held-out sets together are all of 0..n-1.

    The pictures of each class are dealt out like cards, going on where the class before stopped: the
    folds' shares of each class differ by at most one picture, and so do their sizes. A class with fewer
    pictures than folds is absent from some held-out sets but from no training set, unlike
    scikit-learn's ``StratifiedKFold``, which warns there. A group goes where its first picture goes, but for one
    that is all of a class, which is dealt out by pictures. Raises ``ConfigError`` for k < 2, and
    ``DataError`` if a class has one picture (it would be unknown to the net that scores it) or there are
    fewer pictures than folds.
    """
    if k < 2:
        raise ConfigError(f"at least 2 folds are needed, not {k}")
    if len(labels) < k:
        raise DataError(f"{len(labels)} pictures cannot fill {k} folds; add pictures or use fewer folds")
    classes = _shuffled_classes(labels, seed)
    single = [int(labels[members[0]]) for members in classes if len(members) == 1]
    if single:
        raise DataError(
            f"class number {single[0]} has one picture only (so have {len(single) - 1} more); "
            "out-of-fold scores need two. Add pictures, or do without folds."
        )
    dealt = np.concatenate(classes)
    fold = np.empty(len(labels), np.int64)
    fold[dealt] = np.arange(len(dealt)) % k
    if groups is not None:
        fold[dealt] = together(fold[dealt], _parted(labels, groups)[dealt])
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def random_folds(
    count: int, k: int, seed: int, groups: Int[ndarray, " n"] | None = None
) -> list[tuple[Int[ndarray, " f"], Int[ndarray, " h"]]]:
    """`k` pairs (indices to fit on, indices held out) as scikit-learn's shuffled ``KFold`` makes them, classes aside.

    A group goes where its first picture goes; of few groups some folds may be left out.
    """
    from sklearn.model_selection import KFold  # as models are learnt only

    fold = np.empty(count, np.int64)
    for number, (_, held) in enumerate(KFold(k, shuffle=True, random_state=seed).split(np.zeros(count))):
        fold[held] = number
    if groups is not None:
        fold = together(fold, groups)
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in np.unique(fold)]


def together(numbers: Int[ndarray, " n"], groups: Int[ndarray, " n"]) -> Int[ndarray, " n"]:
    """The numbers, but that all of a group have that of its first one."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return numbers[first][inverse]


def _members(groups: Int[ndarray, " n"]) -> dict[int, Int[ndarray, " m"]]:
    """The indices of each group."""
    order = np.argsort(groups, kind="stable")
    numbers, starts = np.unique(groups[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def _parted(labels: Int[ndarray, " n"], groups: Int[ndarray, " n"]) -> Int[ndarray, " n"]:
    """The groups, but that each picture of a class that has only one is alone."""
    parted = groups.copy()
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(np.unique(groups[members])) == 1:
            parted[members] = groups.max() + 1 + members
    return parted


def _shuffled_classes(labels: Int[ndarray, " n"], seed: int) -> list[Int[ndarray, " m"]]:
    """The indices of each class, in the order of the labels, each shuffled."""
    generator = np.random.default_rng(seed)
    return [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
