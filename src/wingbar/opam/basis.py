"""Projection of feature maps onto their principal directions, and linear functions of the projection."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from wingbar.opam.principal import Moments


@dataclass(frozen=True, eq=False)
class Basis:
    """The principal directions of feature vectors, their mean, and the scale that gives a total variance of one."""

    directions: Float32[Tensor, "kept channels"]
    mean: Float32[Tensor, "channels"]
    scale: float

    @staticmethod
    def of(maps: Float[Tensor, "n channels h w"], most: int) -> Basis:
        """The first ``most`` principal directions, at most, of a sample of maps."""
        moments = Moments.of(maps)
        directions = moments.directions(most).float()
        mean = moments.mean.float()
        projected = torch.einsum("nchw,kc->nkhw", maps.float() - mean[:, None, None], directions)
        scale = float(projected.flatten(1).var(0, correction=0).sum().sqrt())
        return Basis(directions, mean, scale or 1.0)

    def project(self, maps: Float[Tensor, "n channels h w"]) -> Float32[Tensor, "n kept h w"]:
        """Project maps onto the directions, and divide them by the scale."""
        centred = maps.float() - self.mean[:, None, None]
        return torch.einsum("nchw,kc->nkhw", centred, self.directions) / self.scale

    def unfold(self, weight: Float[Tensor, "outputs kept h w"]) -> tuple[Tensor, Tensor]:
        """Express a linear function of projected maps as one of the original maps: its weight and its bias."""
        whole = torch.einsum("okhw,kc->ochw", weight, self.directions) / self.scale
        return whole, -torch.einsum("ochw,c->o", whole, self.mean)
