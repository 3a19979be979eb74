"""The object's box read off ClassNet's features: a regression learnt from boxes that nobody drew.

Boxes cut from maps are noisy, and the maps that give the best ones cost a large forward pass a picture. So these
boxes are taken as teachers on training pictures only, and a linear function of ClassNet's whole feature map

    corners = W . f + b        f: [channels, h, w],  W: [4, channels, h, w]

learns to give them (pseudo-supervised object localisation: Zhang, Cao, Wu, "Rethinking the Route Towards Weakly
Supervised Object Localization", CVPR 2020, who fine-tune a net of its own). It averages the teachers' noise out and
costs nothing at prediction. W is found in closed form, by ridge regression on the principal components of the
feature vectors; its strength by cross-validation against the teachers, mirrors kept with their pictures.
OPAM does not have this: its box is the binarised map's.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from wingbar.boxes import Box

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Tried strengths, in units of the features' mean variance along a direction of the data."""
FOLDS = 5
LEAST_SIDE = 0.1
"""An object's box that was read off features has at least this share of the picture's sides."""


def fit_corners(
    upright: Float[ndarray, "n components h w"],
    mirrored: Float[ndarray, "n components h w"],
    corners: Float[ndarray, "n 4"],
    mirrored_corners: Float[ndarray, "n 4"],
) -> tuple[Float32[ndarray, "4 components h w"], Float32[ndarray, "4"]]:
    """W and b for maps ``upright`` of pictures and ``mirrored`` of their mirrors (as the net gives them).

    ``corners`` are the teachers' boxes (x1, y1, x2, y2) in shares of the pictures, ``mirrored_corners`` of their
    mirrors. Raises ValueError for fewer than two pictures.
    """
    from sklearn.linear_model import Ridge  # as models are learnt only
    from sklearn.model_selection import GridSearchCV, GroupKFold

    count = len(upright)
    if count < 2:
        raise ValueError(f"{count} pictures are too few to learn boxes from")
    features = np.concatenate([upright, mirrored]).reshape(2 * count, -1).astype(np.float64)
    targets = np.concatenate([corners, mirrored_corners])
    unit = features.var(0).sum()
    search = GridSearchCV(
        Ridge(), {"alpha": [strength * unit for strength in STRENGTHS]}, scoring="neg_mean_absolute_error",
        cv=GroupKFold(min(FOLDS, count)),
    )  # fmt: skip
    search.fit(features, targets, groups=np.tile(np.arange(count), 2))
    best = search.best_estimator_
    return best.coef_.reshape(4, *upright.shape[1:]).astype(np.float32), best.intercept_.astype(np.float32)


def box_from_corners(corners: Float[ndarray, "4"], size: tuple[int, int]) -> Box:
    """The object's box in pixels from corners in shares, inside the picture and not without area."""
    x1, x2 = _interval(float(corners[0]), float(corners[2]), size[0])
    y1, y2 = _interval(float(corners[1]), float(corners[3]), size[1])
    return (x1, y1, x2, y2)


def _interval(start: float, stop: float, length: int) -> tuple[int, int]:
    middle, half = (start + stop) / 2, max((stop - start) / 2, LEAST_SIDE / 2)
    start, stop = min(max(middle - half, 0.0), 1 - LEAST_SIDE), max(min(middle + half, 1.0), LEAST_SIDE)
    first = min(round(start * length), length - 1)
    return first, min(max(round(stop * length), first + 1), length)
