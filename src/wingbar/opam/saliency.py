"""Saliency: the class activation map of the predicted class (OPAM, section III.B; Zhou et al., CVPR 2016).

    M_c(x, y) = sum_u w_u^c f_u(x, y)

f_u is the last feature map's channel u, w_u^c the linear layer's weight of u for class c, and c the class
that the net predicts, never the label. A forward pass gives everything: no hooks, no backward.

Where we differ: the maps of the picture and of its mirror are averaged, and c is the class of their mean
logits; M is min-max normalised itself (the released code reads grey values off a coloured rendering).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wingbar.maps import stretch
from wingbar.nets.looking import upright
from wingbar.nets.saliency_head import MapNet


@torch.no_grad()
def saliency(
    net: MapNet, pixels: Float[Tensor, "batch 3 height width"], classes: Int[Tensor, "batch"] | None = None
) -> tuple[Float[Tensor, "batch h w"], Float[Tensor, "batch classes"]]:
    """Maps in [0, 1] and logits of normalised pictures; ``classes`` asks for others than the predicted ones.

    Maps have the resolution of the net's last feature map: `wingbar.maps.resize_map` carries them to the picture.
    """
    evidence = net.forward_evidence(upright(net.forward_features(torch.cat([pixels, pixels.flip(3)]))))
    logits = evidence.mean((2, 3)) + net.head.bias
    chosen = logits.argmax(1) if classes is None else classes
    maps = evidence[torch.arange(len(evidence)), chosen].float().cpu().numpy()
    return torch.from_numpy(stretch(maps)), logits.float()
