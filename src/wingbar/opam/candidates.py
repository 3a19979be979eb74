"""Candidate sets: "one of these two, right nine times in ten".

    C(x) = { c : p_c(x) >= t },    t: the ceil((n + 1) coverage)-th largest of the n held-out pictures' p_y

with p_y the probability of a held-out picture's true class (split-conformal prediction; Vovk, Gammerman, Shafer,
"Algorithmic learning in a random world", 2005; Sadinle, Lei, Wasserman, "Least ambiguous set-valued classifiers", JASA
2019). Of pictures of the same kind as the held-out ones, the set holds the true class in at least the share
``coverage``, whatever the model. That is a mean over pictures: of a hard class it may be less. The likeliest class is
always in the set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

KEPT = 2000
"""Held-out probabilities that a model keeps, at most."""


def kept(held_out: Float[ndarray, "n"]) -> tuple[float, ...]:
    """The held-out probabilities as a model keeps them, ascending; of many an even selection."""
    places = np.linspace(0, len(held_out) - 1, min(len(held_out), KEPT)).round().astype(np.int64)
    return tuple(float(value) for value in np.sort(held_out)[places])


def least_probability(held_out: Sequence[float], coverage: float) -> float:
    """t; zero, which takes all classes, where the held-out pictures are too few for the ``coverage``.

    ``held_out`` is ascending.
    """
    place = math.ceil((len(held_out) + 1) * coverage)
    return held_out[-place] if place <= len(held_out) else 0.0


def candidate_set(scores: Mapping[str, float], held_out: Sequence[float], coverage: float) -> tuple[str, ...]:
    """The classes of the set, the likeliest first. ``scores`` are in that order."""
    least = least_probability(held_out, coverage)
    names = list(scores)
    return (names[0], *(name for name in names[1:] if scores[name] >= least))
