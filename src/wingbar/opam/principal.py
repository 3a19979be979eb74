"""What all pictures have in common: the object as the first principal component of feature vectors.

In a set of look-alikes nearly every picture shows the same kind of thing, so the direction along which the
vectors of a pretrained feature map vary most, over all places of all pictures, is object against background
(deep descriptor transforming: Wei et al., Pattern Recognition 88, 2019). With ``u`` that direction,

    M(x, y) = sum_k u_k f_k(x, y)

is a class activation map whose "class" is the object: the same code computes both. OPAM does not have this. The map
of the predicted class is drawn to the parts that tell classes apart, which serves the choice of parts better than
the box of the object; the two are compared on validation pictures, by labels alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor


def principal_direction(
    batches: Iterable[Tensor],
) -> Float[Tensor, "channels"]:
    """The unit vector along which feature vectors vary most, pointing away from the pictures' borders.

    ``batches`` are feature maps ``[batch, channels, h, w]``; batch sizes may differ.

    Objects are rarely cut by all borders, so the side of the mean that borders lie on is called background.
    Raises ValueError without features.
    """
    at_border, border = 0, torch.zeros((), dtype=torch.float64)
    moments = Moments()
    for features in batches:
        maps = features.double()
        moments.add(maps)
        rim = torch.cat([maps[:, :, 0], maps[:, :, -1], maps[:, :, :, 0], maps[:, :, :, -1]], 2)
        border, at_border = border + rim.sum((0, 2)), at_border + rim.shape[0] * rim.shape[2]
    direction = moments.directions(1)[0]
    inwards = (moments.mean - border / at_border) @ direction
    return (direction if inwards >= 0 else -direction).float()


def principal_directions(batches: Iterable[Tensor], count: int) -> Float[Tensor, "_ channels"]:
    """The ``count`` orthonormal directions along which feature vectors vary most (all, if there are fewer)."""
    moments = Moments()
    for features in batches:
        moments.add(features.double())
    return moments.directions(count).float()


class Moments:
    """Mean and covariance of feature vectors, gathered batch by batch in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.total = self.products = torch.zeros((), dtype=torch.float64)

    def add(self, maps: Float[Tensor, "batch channels h w"]) -> None:
        """Count the vectors of all places of all pictures."""
        vectors = maps.permute(0, 2, 3, 1).flatten(0, 2)
        self.count += len(vectors)
        self.total, self.products = self.total + vectors.sum(0), self.products + vectors.T @ vectors

    @property
    def mean(self) -> Float[Tensor, "channels"]:
        """Mean vector."""
        return self.total / self.count

    def directions(self, count: int) -> Float[Tensor, "_ channels"]:
        """Eigenvectors of the covariance, largest variance first. Raises ValueError without features."""
        if self.count == 0:
            raise ValueError("no features: give at least one batch")
        _, vectors = torch.linalg.eigh(self.products / self.count - self.mean[:, None] * self.mean)
        return vectors.flip(1)[:, :count].T
