"""Candidate sets: "one of these two, right nine times in ten".

    C(x) = { c : p_c(x) >= t },    t: the ceil((n + 1) coverage)-th largest of the n held-out pictures' p_y

with p_y the probability of a held-out picture's true class (split-conformal prediction; Vovk, Gammerman, Shafer,
"Algorithmic learning in a random world", 2005; Sadinle, Lei, Wasserman, "Least ambiguous set-valued classifiers", JASA
2019). Of pictures of the same kind as the held-out ones, the set holds the true class in at least the share
``coverage``, whatever the model. That is a mean over pictures: of a hard class it may be less. So a class with `ENOUGH`
held-out pictures has a t of its own, by these alone, and the promise holds of each such class (Vovk, "Conditional
validity of inductive conformal predictors", ACML 2012). The likeliest class is always in the set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

KEPT = 2000
"""Held-out probabilities that a model keeps, at most."""
ENOUGH = 30
"""Held-out pictures of a class from which on it has a threshold of its own."""
KEPT_OF_CLASS = 200
NO_CLASSES: Mapping[str, Sequence[float]] = MappingProxyType({})


def kept(held_out: Float[ndarray, "n"], most: int = KEPT) -> tuple[float, ...]:
    """The held-out probabilities as a model keeps them, ascending; of more than ``most`` an even selection."""
    places = np.linspace(0, len(held_out) - 1, min(len(held_out), most)).round().astype(np.int64)
    return tuple(float(value) for value in np.sort(held_out)[places])


def kept_by_class(
    held_out: Float[ndarray, "n"], labels: Int[ndarray, "n"], classes: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    """The same of each class that has `ENOUGH` held-out pictures, by its name."""
    counts = np.bincount(labels, minlength=len(classes))
    return {
        name: kept(held_out[labels == label], KEPT_OF_CLASS)
        for label, name in enumerate(classes)
        if counts[label] >= ENOUGH
    }


def least_probability(held_out: Sequence[float], coverage: float) -> float:
    """t; zero, which takes all classes, where the held-out pictures are too few for the ``coverage``.

    ``held_out`` is ascending.
    """
    place = math.ceil((len(held_out) + 1) * coverage)
    return held_out[-place] if place <= len(held_out) else 0.0


def candidate_set(
    scores: Mapping[str, float],
    held_out: Sequence[float],
    coverage: float,
    by_class: Mapping[str, Sequence[float]] = NO_CLASSES,
) -> tuple[str, ...]:
    """The classes of the set, the likeliest first. ``scores`` are in that order.

    ``by_class`` are the held-out probabilities of classes with a threshold of their own.
    """
    least = least_probability(held_out, coverage)
    # Of a class with too few for the coverage the threshold is that of all.
    thresholds = {name: least_probability(values, coverage) or least for name, values in by_class.items()}
    first, *others = scores
    return (first, *(name for name in others if scores[name] >= thresholds.get(name, least)))
