"""Saliency: the class activation map of the predicted class (OPAM, section III.B; Zhou et al., CVPR 2016).

    M_c(x, y) = sum_u w_u^c f_u(x, y)

f_u is the last feature map's channel u, w_u^c the linear layer's weight of u for class c, and c the class
that the net predicts, never the label. `nets.outputs.PictureNet` gives M_c of every class in one forward pass,
as evidence: no hooks, no backward.

Where we differ: the maps of the picture and of its mirror are averaged, and c is the class of their mean
logits; M is min-max normalised itself (the released code reads grey values off a coloured rendering).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from wingbar.opam.maps import stretch


def saliency_maps(
    evidence: Float32[ndarray, "batch classes h w"], logits: Float32[ndarray, "batch classes"]
) -> Float32[ndarray, "batch h w"]:
    """Each picture's map of its predicted class, in [0, 1], at the resolution of the net's last feature map.

    ``evidence`` are the maps M_c of every class, in logits. `opam.maps.resize_map` carries a map to the picture.
    """
    return stretch(evidence[np.arange(len(logits)), logits.argmax(1)])
