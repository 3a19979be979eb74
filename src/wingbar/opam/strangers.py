"""Strangers: "none of these", for a picture whose class is not among those that were learnt.

    s(x) = z(max_c v_c(x) - mean_c v_c(x)) + sum_k z(r_k(x)),      z(a) = (a - mean) / deviation
    r_k(x) = min(d(f_k(x), m_k, T_k), axes) - min_c d(f_k(x), m_kc, W_k)

v are the streams' log probabilities, weighted: how far one class stands out (Vaze, Han, Vedaldi, Zisserman, "Open-set
recognition: a good closed-set classifier is all you need?", ICLR 2022). f_k is the direction of the pooled feature
vector of view k, on the first `AXES` principal axes. m_kc is its mean over the training pictures of class c, m_k over
all of them. d is the squared Mahalanobis distance: W_k is the scatter within classes, T_k that of all pictures, both
shrunk (Ledoit and Wolf, 2004). So r tells how much nearer a picture lies to a class than to pictures at large (Ren et
al., "A simple fix to Mahalanobis distance for improving near-OOD detection", 2021). No picture counts as farther from
those at large than they are on average, which is the number of axes: else what is like nothing would look better known.
z makes these alike in size on held-out pictures; each counts as much as the others.

What s is worth is told without any stranger: each class is left out in turn (its votes, its mean), and its held-out
pictures are strangers then. A logistic regression on s, both kinds counting alike, gives

    known(x) = 1 / (1 + exp(-(a s(x) + b)))

The net has learnt the class that is left out, so real strangers are told a little less well. A picture is taken for a
stranger where known is below the value that the share `KEPT` of the held-out pictures reaches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray
from scipy.spatial.distance import cdist
from scipy.special import expit

from wingbar.opam.calibration import LEAST
from wingbar.opam.maps import unit

KEPT = 0.95
"""Share of held-out pictures that are not taken for strangers."""
LEAST_PICTURES = 20
"""Held-out pictures below which no threshold can be told."""
LEAST_CLASSES = 3

AXES = 64
"""Principal axes of a view's features, at most."""
FLOOR = 1e-6
"""Added to each variance of features of length one."""

Vectors = Mapping[str, Float[ndarray, "n channels"]]
"""Feature vectors of some pictures, by view."""


@dataclass(frozen=True, eq=False)
class ClassScatter:
    """How the training pictures of the classes lie in a view's features, on axes along which a class has variance 1."""

    axes: Float32[ndarray, "channels axes"]
    origin: Float32[ndarray, "axes"]
    """The mean of all pictures' directions, on the axes."""
    means: Float32[ndarray, "classes axes"]
    spread: Float32[ndarray, "axes"]
    """Variance of all pictures along each axis."""

    def nearness(self, vectors: Float[ndarray, "n channels"]) -> Float[ndarray, "n"]:
        """How much nearer each vector lies to the nearest class than to pictures at large: the r of this module."""
        places = unit(vectors).astype(np.float64) @ self.axes - self.origin
        at_large = np.minimum((places**2 / self.spread).sum(1), self.spread.size)
        return at_large - cdist(places, self.means, "sqeuclidean").min(1)

    def without(self, label: int) -> ClassScatter:
        """The same with this class unknown."""
        return replace(self, means=np.delete(self.means, label, axis=0))


Scatters = Mapping[str, ClassScatter]
"""By view."""


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


def scatters(features: Vectors, labels: Int[ndarray, "n"], classes: int) -> dict[str, ClassScatter]:
    """How the classes lie in each view's features. Every class has a picture."""
    return {view: _scatter(unit(vectors), labels, classes) for view, vectors in features.items()}


def _scatter(vectors: Float32[ndarray, "n channels"], labels: Int[ndarray, "n"], classes: int) -> ClassScatter:
    """Covariances are sums over the ``n`` pictures divided by ``n``, also those within classes."""
    from scipy.linalg import eigh
    from sklearn.covariance import ledoit_wolf  # as models are learnt only

    centre = vectors.mean(0, dtype=np.float64)
    centred = vectors - centre
    last, first = vectors.shape[1] - 1, max(vectors.shape[1] - AXES, 0)
    principal = eigh(centred.T @ centred, subset_by_index=(first, last))[1]
    places = centred @ principal
    means = np.stack([places[labels == label].mean(0) for label in range(classes)])
    least = FLOOR * np.eye(len(principal.T))
    within = ledoit_wolf(places - means[labels], assume_centered=True)[0] + least
    spread, turn = eigh(ledoit_wolf(places, assume_centered=True)[0] + least, within)
    axes = principal @ turn
    return ClassScatter(*(part.astype(np.float32) for part in (axes, centre @ axes, means @ turn, spread)))


def to_arrays(scatter_of: Scatters) -> dict[str, ndarray]:
    """``VIEW.FIELD`` -> array, as models keep them."""
    return {f"{view}.{name}": array for view, one in scatter_of.items() for name, array in vars(one).items()}


def from_arrays(arrays: Mapping[str, ndarray]) -> dict[str, ClassScatter]:
    """The reverse of `to_arrays`. Raises ValueError for arrays that are not such."""
    by_view: dict[str, dict[str, ndarray]] = {}
    for key, array in arrays.items():
        view, _, name = key.rpartition(".")
        by_view.setdefault(view, {})[name] = array
    for parts in by_view.values():
        if set(parts) != {field.name for field in fields(ClassScatter)}:
            raise ValueError(f"not exactly {', '.join(field.name for field in fields(ClassScatter))}")
        if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in parts.values()):
            raise ValueError("numbers that are not finite float32")
        axes = (parts["spread"].size,)
        ends = parts["axes"].shape[1:], parts["origin"].shape, parts["means"].shape[1:], parts["spread"].shape
        if set(ends) != {axes} or not (parts["spread"] > 0).all():
            raise ValueError("axes that do not fit one another")
    return {view: ClassScatter(**parts) for view, parts in by_view.items()}


def signs_of_known(
    votes: Float[ndarray, "n classes"], features: Vectors, scatter_of: Scatters
) -> Float[ndarray, "n signs"]:
    """By how much the first class stands out among the ``votes``, and how near to a class each view looks.

    ``votes`` are weighted log probabilities, not necessarily normalised.
    """
    near = [scatter_of[view].nearness(features[view]) for view in sorted(scatter_of)]
    return np.stack([votes.max(1) - votes.mean(1), *near], 1).astype(np.float64)


def fit_strangers(
    votes: Float[ndarray, "n classes"], features: Vectors, labels: Int[ndarray, "n"], scatter_of: Scatters
) -> StrangerRule | None:
    """The rule, from held-out pictures alone; None where they, or the classes, are too few.

    None as well where left-out classes look no stranger than the others.
    """
    from sklearn.linear_model import LogisticRegression  # as models are learnt only

    if len(labels) < LEAST_PICTURES or votes.shape[1] < LEAST_CLASSES:
        return None
    signs = signs_of_known(votes, features, scatter_of)
    plain = StrangerRule(tuple(signs.mean(0).tolist()), tuple((signs.std(0) + 1e-6).tolist()), 1.0, 0.0, 0.0, 0.0)
    left_out = np.concatenate(
        [_without(label, votes, features, labels, scatter_of) for label in np.unique(labels).tolist()]
    )
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
    label: int, votes: Float[ndarray, "n classes"], features: Vectors, labels: Int[ndarray, "n"], scatter_of: Scatters
) -> Float[ndarray, "m signs"]:
    """The signs of the pictures of one class, which is left out."""
    rows, others = labels == label, np.arange(votes.shape[1]) != label
    return signs_of_known(
        votes[np.ix_(rows, others)],
        {view: vectors[rows] for view, vectors in features.items()},
        {view: scatter.without(label) for view, scatter in scatter_of.items()},
    )
