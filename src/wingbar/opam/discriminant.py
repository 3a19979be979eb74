"""Object against background, without a label: a linear discriminant of feature vectors.

In most photographs the object lies near the middle and the background at the rim. With m_in the mean feature vector of
the middle cells of all training pictures, m_out that of their rims and S the covariance of all cells (Fisher, 1936),

    u = (S + s I)^-1 (m_in - m_out),      s: the mean variance of a channel
    M(x, y) = sum_k u_k f_k(x, y)

M is the object's map. Once more, then, with the regions that M itself tells by Otsu's threshold in place of middle and
rim. OPAM has no such step. The first principal component, which `principal` takes for the object, is object against
background in some nets only: with others it is contrast, or the photograph's border.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from wingbar.opam.localization import largest_region, otsu

MIDDLE = 0.4
"""Share of the sides that the middle cells take."""


def require_rim(features: Float[Tensor, "n channels h w"]) -> None:
    """Raises ValueError for maps of fewer than 3 x 3 places, which have no middle beside a rim."""
    height, width = features.shape[2:]
    if min(height, width) < 3:
        raise ValueError(f"maps of {height} x {width} places have no middle beside a rim")


def object_direction(features: Float[Tensor, "n channels h w"], rounds: int = 1) -> Float[Tensor, "channels"]:
    """u of a sample of feature maps; ``rounds`` are those with the regions that the map itself tells.

    Raises ValueError for maps of fewer than 3 x 3 places, which have no middle beside a rim.
    """
    count, _, height, width = features.shape
    require_rim(features)
    vectors = features.permute(0, 2, 3, 1).flatten(0, 2).double()
    mean = vectors.mean(0)
    centred = vectors - mean
    scatter = centred.T @ centred / len(centred)
    scatter += scatter.diagonal().mean() * torch.eye(len(scatter), dtype=scatter.dtype)
    inside, outside = middle_and_rim(height, width)
    regions = [np.broadcast_to(region, (count, height, width)) for region in (inside, outside)]
    for _ in range(rounds + 1):
        chosen = [torch.from_numpy(region.reshape(-1).copy()) for region in regions]
        difference = vectors[chosen[0]].mean(0) - vectors[chosen[1]].mean(0)
        direction = torch.linalg.solve(scatter, difference)
        maps = (centred @ direction).reshape(count, height, width).numpy()
        foreground = np.stack([largest_region(one > otsu(one)) for one in maps])
        regions = [foreground, ~foreground]
    return (direction / direction.norm()).float()


def middle_and_rim(height: int, width: int) -> tuple[Bool[ndarray, "h w"], Bool[ndarray, "h w"]]:
    """The cells of a map where the object is thought to lie first, and where the background is."""
    rows, columns = np.mgrid[:height, :width]
    across = np.abs(columns - (width - 1) / 2) <= max(width * MIDDLE / 2, 0.5)
    down = np.abs(rows - (height - 1) / 2) <= max(height * MIDDLE / 2, 0.5)
    rim = np.ones((height, width), bool)
    rim[1:-1, 1:-1] = False
    return across & down & ~rim, rim
