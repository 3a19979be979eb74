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

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

ZERO = torch.zeros((), dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of feature vectors, added up batch by batch in float64; ``Moments()`` is that of none."""

    count: int = 0
    total: Tensor = ZERO
    products: Tensor = ZERO
    at_border: int = 0
    border: Tensor = ZERO
    """Sum of the vectors at the pictures' borders."""

    @staticmethod
    def of(features: Float[Tensor, "batch channels h w"]) -> Moments:
        """Of the vectors of all places of a batch of feature maps."""
        maps = features.double()
        vectors = maps.permute(0, 2, 3, 1).flatten(0, 2)
        rim = torch.cat([maps[:, :, 0], maps[:, :, -1], maps[:, :, :, 0], maps[:, :, :, -1]], 2)
        at_border = rim.shape[0] * rim.shape[2]
        return Moments(len(vectors), vectors.sum(0), vectors.T @ vectors, at_border, rim.sum((0, 2)))

    def __add__(self, other: Moments) -> Moments:
        return Moments(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def principal(self) -> Float[Tensor, "channels"]:
        """The unit vector along which feature vectors vary most, pointing away from the pictures' borders.

        Objects are rarely cut by all borders, so the side of the mean that borders lie on is called background.
        Raises ValueError without features.
        """
        direction = self.directions(1)[0]
        inwards = (self.mean - self.border / self.at_border) @ direction
        return (direction if inwards >= 0 else -direction).float()

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
