"""The joint head: what the features of all views of a picture tell together, by one linear discriminant.

    z_c = sum_v w_vc . f_v + b_c,      w_c = S^-1 (m_c - m),      b_c = -(m_c + m) . w_c / 2

f_v is the pooled feature vector of view v (picture, object, each mark), divided by its root mean square length r_v; all
of them in a row are f. m_c is the mean of f over the training pictures of class c, m the mean of these, and S the
covariance within classes, shrunk towards a multiple of the identity:

    S = (1 - s) C + s tr(C) / d I,      s = `SHRINKAGE`

(Fisher 1936; Friedman, "Regularized discriminant analysis", 1989.) The net's own head has the same weights for every
view, and knows nothing of how views vary together. Classes are taken to be equally frequent. At last z is divided by
its standard deviation over those pictures and classes, since its own scale hangs on s and d; a temperature tells how
sure to be (`opam.pooling`).

The second head of whole pictures is the same of one view, at the scale of what the net's own head says: the sum of both
names them.

A net's features of the pictures that it has learnt by heart are better than those of new ones: their classes lie
farther apart. So the heads learn from held-out pictures too, and the learnt pictures of each class are moved towards
the middle as far as the held-out ones of all classes lie nearer to it (`contraction`, `like_new`). What the heads say
of held-out pictures is told by heads that have not seen them, fold by fold (`fit_heads`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from wingbar.opam.calibration import Fold

SHRINKAGE = 0.8
"""Chosen on held-out pictures; from 0.5 to 0.9 it hardly matters (docs/results.md)."""


@dataclass(frozen=True, eq=False)
class JointHead:
    """A linear function of the features of some views."""

    weight: Float32[ndarray, "views classes channels"]
    bias: Float32[ndarray, "classes"]

    def logits(self, features: Float32[ndarray, "n views channels"]) -> Float32[ndarray, "n classes"]:
        """What speaks for each class."""
        return np.einsum("nvd,vcd->nc", features, self.weight, optimize=True) + self.bias


def fit_joint(features: Float32[ndarray, "n views channels"], labels: Int[ndarray, "n"], classes: int) -> JointHead:
    """The head of pictures whose labels are known. Every class has a picture."""
    tiny = np.finfo(np.float32).tiny
    lengths = np.sqrt(np.einsum("nvd,nvd->v", features, features) / len(features)) + tiny
    rows = (features / lengths[:, None]).reshape(len(features), -1)
    means = np.stack([rows[labels == label].mean(0) for label in range(classes)])
    middle = means.mean(0)
    weight = _solved(rows - means[labels], means - middle)
    bias = -((means + middle) * weight).sum(1) / 2
    scale = _deviation(rows @ weight.T.astype(np.float32) + bias)
    by_view = weight.reshape(classes, *features.shape[1:]).transpose(1, 0, 2) / lengths[:, None, None]
    return JointHead((by_view / scale).astype(np.float32), (bias / scale).astype(np.float32))


def fit_second(
    logits: Float32[ndarray, "n classes"], features: Float32[ndarray, "n views channels"], labels: Int[ndarray, "n"]
) -> JointHead:
    """The head of pictures that a net says ``logits`` of already, at their scale: in the sum both count alike."""
    head, scale = fit_joint(features, labels, logits.shape[1]), np.float32(_deviation(logits))
    return JointHead(head.weight * scale, head.bias * scale)


@dataclass(frozen=True, eq=False)
class Known:
    """Some pictures, and what a net says and sees of them."""

    logits: Float32[ndarray, "n classes"]
    """Of the whole picture."""
    features: Float32[ndarray, "n views channels"]
    """Of all views, the whole picture first."""
    labels: Int[ndarray, "n"]

    def at(self, places: Int[ndarray, "m"]) -> Known:
        """Some of them."""
        return Known(self.logits[places], self.features[places], self.labels[places])

    def __add__(self, other: Known) -> Known:
        return Known(
            np.concatenate([self.logits, other.logits]),
            np.concatenate([self.features, other.features]),
            np.concatenate([self.labels, other.labels]),
        )


@dataclass(frozen=True, eq=False)
class Heads:
    """The joint head and the second head, and what each says of the held-out pictures without having seen them."""

    joint: JointHead
    second: JointHead
    joint_held: Float32[ndarray, "held classes"]
    second_held: Float32[ndarray, "held classes"]
    contraction: Float32[ndarray, "views"]
    """The factor that the classes of the learnt pictures were drawn together by, in each view."""


def contraction(learnt: Known, held: Known) -> Float32[ndarray, "views"]:
    """By which factor to draw the classes of ``learnt`` pictures together, so that they lie as those of ``held`` ones.

    m_c are the means of the learnt classes, m is the mean of these. In each view's features it is the factor between 0
    and 1 by which m_c - m comes nearest to the held pictures, in least squares; it is the same for all classes, so that
    classes without held-out pictures lie as they would with them. It is one, which moves nothing, where none are.
    """
    middle, apart = _classes(learnt)
    along = np.einsum("nvd,nvd->v", held.features - middle, apart[held.labels])
    lengths = np.einsum("nvd,nvd->v", apart[held.labels], apart[held.labels])
    return np.divide(along, lengths, out=np.ones_like(along), where=lengths > 0).clip(0, 1)


def like_new(learnt: Known, factors: Float32[ndarray, "views"]) -> Known:
    """The ``learnt`` pictures, those of each class moved in each view's features by (g - 1) (m_c - m).

    g are the ``factors``, m_c and m as in `contraction`.
    """
    _, apart = _classes(learnt)
    moved = learnt.features + ((factors - 1)[:, None] * apart)[learnt.labels]
    return Known(learnt.logits, moved, learnt.labels)


def _classes(known: Known) -> tuple[Float32[ndarray, "views channels"], Float32[ndarray, "classes views channels"]]:
    """The mean of the classes' means, and how far each lies from it."""
    means = np.stack([known.features[known.labels == label].mean(0) for label in range(known.logits.shape[1])])
    middle = means.mean(0)
    return middle, means - middle


def fit_heads(learnt: Known, held: Known, folds: Sequence[Fold], kept: float | None = None) -> Heads:
    """Both heads, of pictures that the net has learnt from and of those that were ``held`` out.

    ``folds`` are indices of the latter, those that heads learn from and those that they are asked about. At last the
    heads learn from all that any fold learns from; without folds from none. ``kept`` is a factor for all views, of an
    earlier training, to go by in place of their `contraction`. Every class has a learnt picture.
    """

    def fitted(taught: Int[ndarray, "_"]) -> tuple[JointHead, JointHead, Float32[ndarray, "views"]]:
        new = held.at(taught)
        views = learnt.features.shape[1]
        factors = contraction(learnt, new) if kept is None else np.full(views, kept, np.float32)
        known = like_new(learnt, factors) + new
        joint = fit_joint(known.features, known.labels, known.logits.shape[1])
        return joint, fit_second(known.logits, known.features[:, :1], known.labels), factors

    taught = np.unique(np.concatenate([np.zeros(0, np.int64), *(others for others, _ in folds)]))
    joint, second, factors = fitted(taught)
    joint_held, second_held = joint.logits(held.features), second.logits(held.features[:, :1])
    for others, asked in folds:
        without = fitted(others)
        joint_held[asked] = without[0].logits(held.features[asked])
        second_held[asked] = without[1].logits(held.features[asked, :1])
    return Heads(joint, second, joint_held, second_held, factors)


def _deviation(logits: Float[ndarray, "n classes"]) -> float:
    """The standard deviation over pictures and classes; what all classes of a picture share says nothing.

    It is one where nothing is said.
    """
    return float((logits - logits.mean(1, keepdims=True)).std()) or 1.0


def _solved(deviations: Float32[ndarray, "n d"], means: Float32[ndarray, "classes d"]) -> Float[ndarray, "classes d"]:
    """S^-1 of each mean, by the smaller of two systems: of d unknowns, or of n (Woodbury's identity)."""
    from scipy.linalg import solve

    count, size = deviations.shape
    share = (1 - SHRINKAGE) / count
    ridge = SHRINKAGE * float((deviations**2).sum()) / count / size + np.finfo(np.float32).eps
    if size <= count:
        return solve(share * (deviations.T @ deviations) + ridge * np.eye(size), means.T, assume_a="pos").T
    inner = deviations @ deviations.T + ridge / share * np.eye(count)
    return (means - solve(inner, deviations @ means.T, assume_a="pos").T @ deviations) / ridge
