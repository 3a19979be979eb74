"""The object's corners read off two feature maps of a net, from teachers that nobody drew.

    corners = W_a . a + W_b . b + c        a: the last map, b: the map halfway (twice the rows and columns)

Each map is compressed to its principal directions and scaled to equal variance (`basis`), so that both have a say. W
is found in closed form by ridge regression, with kernels, since there are more features than pictures. Pictures with
unlikely teachers weigh less: r a picture's error out of fold and m the median of errors, its weight is
1 / (1 + (r / 1.5 m)^2). What is told of a training picture is told out of fold: by a regression that has not seen it,
nor its mirror.

Teachers are boxes of maps that candidates have voted on (`localization.vote_box`), and again so with the boxes that
the regression tells, which are better than those it was taught (Zhang, Cao, Wu, CVPR 2020, teach a net so). OPAM has no
such step; `box_regression` is its predecessor, on the last map alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar.boxes import Box, with_context
from wingbar.opam.box_regression import box_from_corners

STRENGTH = 1.0
"""Of the ridge, in units of the features' whole variance."""
FOLDS = 5
CONTEXT = 0.2
"""Left around the rough box in the crop that the fine one is read off, as a share of its sides."""


@dataclass(frozen=True, eq=False)
class Regression:
    """A ridge regression, and what it tells of the rows that it was fitted on, each by a fit without it."""

    weight: Float[ndarray, "targets features"]
    bias: Float[ndarray, "targets"]
    out_of_fold: Float[ndarray, "n targets"]

    def __call__(self, features: Float[ndarray, "m features"]) -> Float[ndarray, "m targets"]:
        """What it tells of other rows."""
        return features @ self.weight.T + self.bias


def fit_ridge(
    features: Float[ndarray, "n features"],
    targets: Float[ndarray, "n targets"],
    groups: Int[ndarray, "n"],
    robust: bool = False,
    strength: float = STRENGTH,
) -> Regression:
    """Fit a ridge; rows of one group are never in different folds. ``robust``: unlikely targets weigh less.

    ``strength`` is in units of the features' whole variance.

    Raises ValueError for fewer than two groups.
    """
    count = len(np.unique(groups))
    if count < 2:
        raise ValueError(f"{count} pictures are too few to learn boxes from")
    centre = features.mean(0)
    centred = (features - centre).astype(np.float32)
    kernel = (centred @ centred.T).astype(np.float64)
    strength *= max(float(np.trace(kernel)) / len(kernel), 1e-12)
    weights = np.ones(len(features))
    out_of_fold = _out_of_fold(kernel, targets, groups, weights, strength)
    if robust:
        errors = np.abs(out_of_fold - targets).mean(1)
        weights = 1 / (1 + (errors / max(1.5 * float(np.median(errors)), 1e-9)) ** 2)
        out_of_fold = _out_of_fold(kernel, targets, groups, weights, strength)
    mean, dual = _solve(kernel, targets, weights, strength)
    weight = (centred.T @ dual).T
    return Regression(weight, mean - weight @ centre, out_of_fold)


def _out_of_fold(kernel: ndarray, targets: ndarray, groups: ndarray, weights: ndarray, strength: float) -> ndarray:
    from sklearn.model_selection import GroupKFold  # as models are learnt only

    answers = np.zeros_like(targets, dtype=np.float64)
    for fitted, held in GroupKFold(min(FOLDS, len(np.unique(groups)))).split(kernel, groups=groups):
        mean, dual = _solve(kernel[np.ix_(fitted, fitted)], targets[fitted], weights[fitted], strength)
        answers[held] = mean + kernel[np.ix_(held, fitted)] @ dual
    return answers


def _solve(kernel: ndarray, targets: ndarray, weights: ndarray, strength: float) -> tuple[ndarray, ndarray]:
    """The weighted mean of the targets, and the dual coefficients of what is left of them."""
    from sklearn.kernel_ridge import KernelRidge

    mean = np.average(targets, axis=0, weights=weights)
    model = KernelRidge(alpha=strength, kernel="precomputed")
    return mean, model.fit(kernel, targets - mean, sample_weight=weights).dual_coef_


def frame_around(box: Box, size: tuple[int, int]) -> Box:
    """The crop of a picture of ``size`` that the object's fine box and its marks are read off."""
    return with_context(box, size, CONTEXT)


def in_frame(box: Box, frame: Box) -> Float[ndarray, "4"]:
    """A box's corners in shares of a frame."""
    x1, y1, x2, y2 = frame
    return (np.array(box, np.float64) - (x1, y1, x1, y1)) / (x2 - x1, y2 - y1, x2 - x1, y2 - y1)


def box_in_frame(corners: Float[ndarray, "4"], frame: Box, size: tuple[int, int]) -> Box:
    """The box that corners in shares of a frame mean, in pixels of the picture, inside both and not without area."""
    x1, y1, x2, y2 = frame
    pixels = np.clip(corners, 0, 1) * (x2 - x1, y2 - y1, x2 - x1, y2 - y1) + (x1, y1, x1, y1)
    return box_from_corners(pixels / np.tile(size, 2), size)
