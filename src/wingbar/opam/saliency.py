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


def class_activation_maps(
    features: Float[Tensor, "batch channels h w"],
    weight: Float[Tensor, "classes channels"],
    classes: Int[Tensor, "batch"],
) -> Float[Tensor, "batch h w"]:
    """M_c for one class a picture, not normalised."""
    return torch.einsum("bchw,bc->bhw", features, weight[classes])


def normalize_maps(maps: Float[Tensor, "batch h w"]) -> Float[Tensor, "batch h w"]:
    """Each map stretched to [0, 1]; a constant map becomes zero."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


@torch.no_grad()
def saliency(
    net: MapNet, pixels: Float[Tensor, "batch 3 height width"], classes: Int[Tensor, "batch"] | None = None
) -> tuple[Float[Tensor, "batch h w"], Float[Tensor, "batch classes"]]:
    """Maps in [0, 1] and logits (mean of picture and mirror) of normalised pictures.

    ``classes`` asks for other classes than the predicted ones. The maps have the resolution of the net's
    last feature map: `resize_map` carries them to the picture.
    """
    direct, mirrored = net.forward_features(pixels), net.forward_features(pixels.flip(3)).flip(3)
    logits = (net.forward_head(direct) + net.forward_head(mirrored)) / 2
    chosen = logits.argmax(1) if classes is None else classes
    maps = class_activation_maps(direct + mirrored, net.head.weight, chosen)
    return normalize_maps(maps.float()), logits.float()


def resize_map(saliency_map: Float[ndarray, "h w"], size: tuple[int, int]) -> Float[ndarray, "height width"]:
    """A map at ``size`` (width, height) by bicubic interpolation, cut to [0, 1]."""
    resized = Image.fromarray(np.asarray(saliency_map, np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(resized, np.float32), 0.0, 1.0)
