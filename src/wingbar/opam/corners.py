"""Regression of the object's corners on two feature maps of a net, without annotated boxes.

    corners = W_a . a + W_b . b + c        a: the last map; b: an earlier map with twice the rows and columns

Each map is projected onto its principal directions and scaled to unit variance (`basis`), so that both maps have the
same influence. W_a, W_b and c are a ridge regression in closed form. It is solved in its dual (kernel) form, because
there are more features than pictures.

The targets are pseudo boxes: boxes of saliency maps, refined by a vote of candidates (`localization.vote_box`). Later
rounds take the boxes that the regression predicts, refined in the same way, because they are more accurate than its
targets (Zhang, Cao, Wu, "Rethinking the route towards weakly supervised object localization", CVPR 2020, train
a net on pseudo boxes). Pictures with improbable targets get a low weight: 1 / (1 + (r / (1.5 m))^2), where r is the
picture's out-of-fold error and m the median of these errors. The boxes of training pictures are predicted out of fold,
by a regression that was fitted neither to the picture nor to its mirror image.

OPAM has no such step. `box_regression` is a simpler form of it, which uses the last map only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar.boxes import Box, with_context
from wingbar.opam.box_regression import box_from_corners

STRENGTH = 1.0
"""The strength of the ridge, in units of the features' total variance."""
FOLDS = 5
CONTEXT = 0.2
"""The margin around the coarse box in the crop that the fine box is predicted from, as a share of its sides."""


@dataclass(frozen=True, eq=False)
class Regression:
    """A ridge regression, and its out-of-fold predictions for the rows that it was fitted to."""

    weight: Float[ndarray, "targets features"]
    bias: Float[ndarray, "targets"]
    out_of_fold: Float[ndarray, "n targets"]

    def __call__(self, features: Float[ndarray, "m features"]) -> Float[ndarray, "m targets"]:
        """The predictions for other rows."""
        return features @ self.weight.T + self.bias


def fit_ridge(
    features: Float[ndarray, "n features"],
    targets: Float[ndarray, "n targets"],
    groups: Int[ndarray, "n"],
    robust: bool = False,
    strength: float = STRENGTH,
) -> Regression:
    """Fit a ridge regression, and predict its rows out of fold.

    Args:
        features: one row for each view of a picture.
        targets: the values to predict, one row for each row of ``features``.
        groups: the group of each row; rows of one group (the views of a picture) are always in the same fold.
        robust: fit a second time, with low weights for rows whose out-of-fold errors are large.
        strength: the strength of the ridge, in units of the features' total variance.

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
    from sklearn.model_selection import GroupKFold  # imported here because prediction does not need it

    answers = np.zeros_like(targets, dtype=np.float64)
    for fitted, held in GroupKFold(min(FOLDS, len(np.unique(groups)))).split(kernel, groups=groups):
        mean, dual = _solve(kernel[np.ix_(fitted, fitted)], targets[fitted], weights[fitted], strength)
        answers[held] = mean + kernel[np.ix_(held, fitted)] @ dual
    return answers


def _solve(kernel: ndarray, targets: ndarray, weights: ndarray, strength: float) -> tuple[ndarray, ndarray]:
    """The weighted mean of the targets, and the dual coefficients of the centred targets."""
    from sklearn.kernel_ridge import KernelRidge

    mean = np.average(targets, axis=0, weights=weights)
    model = KernelRidge(alpha=strength, kernel="precomputed")
    return mean, model.fit(kernel, targets - mean, sample_weight=weights).dual_coef_


def frame_around(box: Box, size: tuple[int, int]) -> Box:
    """The crop around a coarse box that the fine box and the marks are predicted from, in pixels.

    ``size`` is the (width, height) of the picture.
    """
    return with_context(box, size, CONTEXT)


def in_frame(box: Box, frame: Box) -> Float[ndarray, "4"]:
    """Convert a box from pixels to shares of a frame's sides."""
    x1, y1, x2, y2 = frame
    return (np.array(box, np.float64) - (x1, y1, x1, y1)) / (x2 - x1, y2 - y1, x2 - x1, y2 - y1)


def box_in_frame(corners: Float[ndarray, "4"], frame: Box, size: tuple[int, int]) -> Box:
    """Convert corners from shares of a frame's sides to a box in pixels.

    The box lies inside the frame and the picture, whose (width, height) is ``size``, and it is not empty.
    """
    x1, y1, x2, y2 = frame
    pixels = np.clip(corners, 0, 1) * (x2 - x1, y2 - y1, x2 - x1, y2 - y1) + (x1, y1, x1, y1)
    return box_from_corners(pixels / np.tile(size, 2), size)
