"""A linear discriminant of object and background, found without labels.

In most photographs the object lies near the middle, and the border shows background. Let m_in be the mean feature
vector of the middle cells of all training pictures, m_out that of the border cells, and S the covariance of all cells.
The discriminant (Fisher, 1936) and the map of the object are

    u = (S + s I)^-1 (m_in - m_out),      s: SHRINKAGE times the mean variance of a channel
    M(x, y) = sum_k u_k f_k(x, y)

The cells at the very edge of a map are no part of the border: a net that pads its input with zeros shows the padding
there, in every picture alike, and the discriminant would tell padding from the rest.

The fit is then repeated: the foreground and background that Otsu's threshold finds in M replace the middle and the
border, until they hardly change. Where objects lie in the middle, a few rounds suffice. Where they lie anywhere, what
the pictures have in common takes over from where they lie.

OPAM has no such step. `principal` uses the first principal component instead, which separates object and background in
some nets only; in others it represents contrast, or the border of the photograph.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from wingbar.opam.localization import largest_region, otsu

MIDDLE = 0.4
"""The share of the map's sides that the middle cells cover."""
EDGE = 1 / 9
"""The cells between the map's edge and the border cells, as a share of its smaller side, rounded down."""
SHRINKAGE = 0.3
STEADY = 0.05
"""The fits end once the cells that change sides are fewer than this share of the foreground's."""
MOST_ROUNDS = 20
"""The fits with regions at most."""


def require_border(features: Float[Tensor, "n channels h w"]) -> None:
    """Raises ValueError for maps of fewer than 3 x 3 cells, in which the middle is not apart from the border."""
    height, width = features.shape[2:]
    if min(height, width) < 3:
        raise ValueError(
            f"maps of {height} x {width} cells have no middle inside a border, and a larger size gives more cells"
        )


def object_direction(
    features: Float[Tensor, "n channels h w"], *, edge: float = EDGE, rounds: int = MOST_ROUNDS
) -> Float[Tensor, "channels"]:
    """The discriminant u of a sample of feature maps, as a vector of length one.

    ``edge`` is the share of the map's smaller side that lies between its edge and its border cells; ``rounds`` the
    largest number of fits with the regions that the map M gives, after the first fit.

    Raises ValueError for maps of fewer than 3 x 3 cells, in which the middle is not apart from the border.
    """
    count, _, height, width = features.shape
    require_border(features)
    vectors = features.permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = vectors.mean(0)
    centred = vectors - mean
    scatter = centred.T @ centred / len(centred)
    scatter += SHRINKAGE * scatter.diagonal().mean() * torch.eye(len(scatter), dtype=scatter.dtype)
    regions = [np.broadcast_to(region, (count, height, width)) for region in middle_and_border(height, width, edge)]
    for _ in range(rounds + 1):
        chosen = [torch.from_numpy(region.reshape(-1).copy()) for region in regions]
        difference = vectors[chosen[0]].mean(0) - vectors[chosen[1]].mean(0)
        direction = torch.linalg.solve(scatter, difference)
        maps = (centred @ direction).reshape(count, height, width).numpy()
        foreground = np.stack([largest_region(one > otsu(one)) for one in maps])
        if (foreground != regions[0]).sum() < STEADY * foreground.sum():
            break
        regions = [foreground, ~foreground]
    return (direction / direction.norm()).float()


def middle_and_border(height: int, width: int, edge: float = EDGE) -> tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]]:
    """The cells of a map that are taken for the object in the first fit, and those taken for background."""
    rows, columns = np.mgrid[:height, :width]
    across = np.abs(columns - (width - 1) / 2) <= max(width * MIDDLE / 2, 0.5)
    down = np.abs(rows - (height - 1) / 2) <= max(height * MIDDLE / 2, 0.5)
    to_edge = np.minimum(np.minimum(rows, height - 1 - rows), np.minimum(columns, width - 1 - columns))
    border = to_edge == min(int(edge * min(height, width)), (min(height, width) - 3) // 2)
    return across & down & ~border, border
