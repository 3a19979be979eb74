"""Strangers: "none of these", for a picture whose class is not among those that were learnt.

    s(x) = z(max_c v_c(x) - mean_c v_c(x)) + sum_k z(max_c cos(f_k(x), m_kc)),      z(a) = (a - mean) / deviation

v are the streams' log probabilities, weighted: how far one class stands out (Vaze, Han, Vedaldi, Zisserman, "Open-set
recognition: a good closed-set classifier is all you need?", ICLR 2022). f_k is the pooled feature vector of view k and
m_kc its mean direction over the training pictures of class c: how like a class the view looks. z makes these alike in
size on held-out pictures; each counts as much as the others.

What s is worth is told without any stranger: each class is left out in turn (its votes, its means), and its held-out
pictures are strangers then. A logistic regression on s, both kinds counting alike, gives

    known(x) = 1 / (1 + exp(-(a s(x) + b)))

The net has learnt the class that is left out, so real strangers are told a little less well. A picture is taken for a
stranger where known is below the value that the share `KEPT` of the held-out pictures reaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.special import expit

from wingbar.opam.calibration import LEAST

KEPT = 0.95
"""Share of held-out pictures that are not taken for strangers."""
LEAST_PICTURES = 20
"""Held-out pictures below which no threshold can be told."""
LEAST_CLASSES = 3

Vectors = Mapping[str, Float[ndarray, "n channels"]]
"""Feature vectors of some pictures, by view."""
Centres = Mapping[str, Float32[ndarray, "classes channels"]]
"""By view the mean direction of each class."""


@dataclass(frozen=True)
class StrangerRule:
    """How signs of a known class become `known`, and from where on a picture is taken for a stranger."""

    means: tuple[float, ...]
    """Of each sign on held-out pictures: of the votes, then of each view by its name."""
    deviations: tuple[float, ...]
    slope: float
    intercept: float
    threshold: float
    """Of `known`, in [0, 1]."""
    caught: float
    """Share of the held-out pictures of left-out classes that are below the threshold."""

    def known(self, signs: Float[ndarray, "n signs"]) -> Float[ndarray, "n"]:
        """How likely each picture shows a class that was learnt, in [0, 1], if every other picture did."""
        return expit(self.slope * self._score(signs) + self.intercept)

    def _score(self, signs: Float[ndarray, "n signs"]) -> Float[ndarray, "n"]:
        return ((signs - np.array(self.means)) / np.array(self.deviations)).sum(1)


NO_RULE = StrangerRule((), (), 0.0, 0.0, 0.0, 0.0)
"""To be filled with the values of another."""


def votes_of(scores: Float[ndarray, "streams n classes"], weights: Sequence[float]) -> Float[ndarray, "n classes"]:
    """The streams' log probabilities, weighted and added up."""
    return np.tensordot(np.asarray(weights, float), np.log(np.maximum(scores, LEAST)), axes=1)


def centres(features: Vectors, labels: Int[ndarray, "n"], classes: int) -> dict[str, ndarray]:
    """The mean direction of each class, by view. Every class has a picture."""
    return {
        view: directions(np.stack([directions(vectors[labels == label]).mean(0) for label in range(classes)]))
        for view, vectors in features.items()
    }


def directions(vectors: Float[ndarray, "n channels"]) -> Float32[ndarray, "n channels"]:
    """Vectors of length one; a vector of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)


def signs_of_known(votes: Float[ndarray, "n classes"], features: Vectors, means: Centres) -> Float[ndarray, "n signs"]:
    """By how much the first class stands out among the ``votes``, and how like a class each view looks.

    ``votes`` are weighted log probabilities, not necessarily normalised.
    """
    cosines = [(directions(features[view]) @ means[view].T).max(1) for view in sorted(means)]
    return np.stack([votes.max(1) - votes.mean(1), *cosines], 1).astype(np.float64)


def fit_strangers(
    votes: Float[ndarray, "n classes"], features: Vectors, labels: Int[ndarray, "n"], means: Centres
) -> StrangerRule | None:
    """The rule, from held-out pictures alone; None where they, or the classes, are too few.

    None as well where left-out classes look no stranger than the others.
    """
    from sklearn.linear_model import LogisticRegression  # as models are learnt only

    if len(labels) < LEAST_PICTURES or votes.shape[1] < LEAST_CLASSES:
        return None
    signs = signs_of_known(votes, features, means)
    plain = StrangerRule(tuple(signs.mean(0).tolist()), tuple((signs.std(0) + 1e-6).tolist()), 1.0, 0.0, 0.0, 0.0)
    left_out = np.concatenate([_without(label, votes, features, labels, means) for label in np.unique(labels).tolist()])
    inside, outside = plain._score(signs), plain._score(left_out)
    both = np.concatenate([inside, outside])[:, None]
    fit = LogisticRegression(class_weight="balanced").fit(both, np.arange(len(both)) < len(inside))
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope <= 0:
        return None
    least = float(np.quantile(inside, 1 - KEPT))
    return StrangerRule(
        plain.means, plain.deviations, slope, intercept,
        threshold=float(expit(slope * least + intercept)), caught=float((outside < least).mean()),
    )  # fmt: skip


def _without(
    label: int, votes: Float[ndarray, "n classes"], features: Vectors, labels: Int[ndarray, "n"], means: Centres
) -> Float[ndarray, "m signs"]:
    """The signs of the pictures of one class, which is left out."""
    rows, others = labels == label, np.arange(votes.shape[1]) != label
    return signs_of_known(
        votes[np.ix_(rows, others)],
        {view: vectors[rows] for view, vectors in features.items()},
        {view: rest[others] for view, rest in means.items()},
    )
