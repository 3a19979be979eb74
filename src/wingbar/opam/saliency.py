"""Saliency: the class activation map of the predicted class (OPAM, section III.B; Zhou et al., CVPR 2016).

    M_c(x, y) = sum_u w_u^c f_u(x, y)

f_u is the last feature map's channel u, w_u^c the linear layer's weight of u for class c, and c the class
that the net predicts, never the label. A forward pass gives everything: no hooks, no backward.

Where we differ: the maps of the picture and of its mirror are averaged, and c is the class of their summed
logits; M is min-max normalised itself (the released code reads grey values off a coloured rendering).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from PIL import Image
from torch import Tensor

from wingbar.nets.saliency_head import MapNet


def class_evidence(
    features: Float[Tensor, "batch channels h w"], weight: Float[Tensor, "classes channels"]
) -> Float[Tensor, "batch classes h w"]:
    """M_c for every class c, not normalised: its mean over the places is the logit without its bias."""
    return torch.einsum("bchw,kc->bkhw", features, weight)


def normalize_maps(maps: Float[Tensor, "batch h w"]) -> Float[Tensor, "batch h w"]:
    """Each map stretched to [0, 1]; a constant map becomes zero."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


@torch.no_grad()
def evidence(net: MapNet, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes h w"]:
    """Every class's map of normalised pictures, not normalised: the mean of the picture's and its mirror's.

    The maps have the resolution of the net's last feature map: `resize_map` carries them to the picture.
    """
    features = net.forward_features(pixels) + net.forward_features(pixels.flip(3)).flip(3)
    return class_evidence(features / 2, net.head.weight).float()


@torch.no_grad()
def predicted(
    evidence: Float[Tensor, "batch classes h w"],
    bias: Float[Tensor, "classes"],
    classes: Int[Tensor, "batch"] | None = None,
) -> tuple[Float[Tensor, "batch h w"], Float[Tensor, "batch classes"]]:
    """Maps in [0, 1] of the predicted classes, or of ``classes``, and logits."""
    logits = evidence.mean((2, 3)) + bias
    chosen = logits.argmax(1) if classes is None else classes
    return normalize_maps(evidence[torch.arange(len(evidence)), chosen]), logits


@torch.no_grad()
def saliency(
    net: MapNet, pixels: Float[Tensor, "batch 3 height width"], classes: Int[Tensor, "batch"] | None = None
) -> tuple[Float[Tensor, "batch h w"], Float[Tensor, "batch classes"]]:
    """Maps in [0, 1] and logits of normalised pictures; ``classes`` asks for others than the predicted ones."""
    return predicted(evidence(net, pixels), net.head.bias.float(), classes)


def resize_map(saliency_map: Float[ndarray, "h w"], size: tuple[int, int]) -> Float[ndarray, "height width"]:
    """A map at ``size`` (width, height) by bicubic interpolation, cut to [0, 1]."""
    resized = Image.fromarray(np.asarray(saliency_map, np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(resized, np.float32), 0.0, 1.0)
