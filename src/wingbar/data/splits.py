"""Cutting the training pictures: a validation set to choose by, and folds for out-of-fold scores.

Both cuts are stratified (class by class), seeded, and return sorted indices into ``labels``. Nothing here
ever sees the test split.

Out of fold: each picture is held out in exactly one fold, and is scored by the net that was trained on the other folds.
Such scores are like those of new pictures, whereas a net scores its training pictures near 1 whatever they show.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from wingbar.errors import ConfigError, DataError


def validation_split(
    labels: Int[ndarray, " n"], fraction: float, seed: int
) -> tuple[Int[ndarray, " t"], Int[ndarray, " v"]]:
    """Indices to train on and to validate on: about ``fraction`` of each class is for validation.

    Each class of two or more has at least one picture on either side; a single picture stays in training.
    The cut of a class depends on the classes before it alone, so the first classes of a data set are
    cut as in the whole. Raises ``ConfigError`` unless 0 < fraction < 1, and ``DataError`` if there is
    nothing to cut.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"the validation fraction must lie between 0 and 1, not {fraction:g}; try 0.1")
    held = [
        members[: min(max(round(fraction * len(members)), 1), len(members) - 1)]
        for members in _shuffled_classes(labels, seed)
    ]
    validation = np.sort(np.concatenate(held)) if held else np.empty(0, np.int64)
    if len(validation) == 0:
        raise DataError("no class has two pictures, so no validation set can be cut; add pictures")
    return np.setdiff1d(np.arange(len(labels)), validation), validation


def folds(labels: Int[ndarray, " n"], k: int, seed: int) -> list[tuple[Int[ndarray, " t"], Int[ndarray, " v"]]]:
    """``k`` pairs (indices to train on, indices held out); the held-out sets together are all of 0..n-1.

    The pictures of each class are dealt out like cards, going on where the class before stopped: the
    folds' shares of each class differ by at most one picture, and so do their sizes. A class with fewer
    pictures than folds is absent from some held-out sets but from no training set, unlike
    scikit-learn's ``StratifiedKFold``, which warns there. Raises ``ConfigError`` for k < 2, and
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
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def _shuffled_classes(labels: Int[ndarray, " n"], seed: int) -> list[Int[ndarray, " m"]]:
    """The indices of each class, in the order of the labels, each shuffled."""
    generator = np.random.default_rng(seed)
    return [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
