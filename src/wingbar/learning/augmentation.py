"""Colour jitter and random erasing of a whole batch, in one pass over it with the normalisation.

    y = clip(b c s x + (b c (1 - s) g(x) + (1 - c) b m) 1)

x is a view's pixel, b, c and s are its factors of brightness, contrast and saturation, g is a pixel's grey value and m
the mean grey value of the view. So the changes are those of Pillow's and torchvision's functions, one after the other,
but that values are clipped once, at the end. The view's random rectangle is blanked last, with the net's mean colour
(random erasing: Zhong et al., AAAI 2020).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from wingbar.nets.saliency_head import normalized

GREY = (0.299, 0.587, 0.114)
"""Share of red, green and blue in a grey value (ITU-R BT.601)."""


def augmented(
    pixels: UInt8[Tensor, "batch 3 h w"],
    factors: Float32[Tensor, "batch 3"],
    blanks: Int64[Tensor, "batch 4"],
    net: Any,
) -> Float32[Tensor, "batch 3 h w"]:
    """A batch as ``net`` is shown it, normalised, channels last.

    ``factors`` are each view's brightness, contrast and saturation, ``blanks`` the left, top, right and bottom of its
    blank rectangle, which may be empty.
    """
    shown = normalized(recoloured(pixels.float().div_(255), factors), net)
    for view, (left, top, right, bottom) in zip(shown, blanks.tolist(), strict=True):
        if right > left:
            view[:, top:bottom, left:right] = 0
    return shown


def recoloured(
    x: Float32[Tensor, "batch 3 h w"], factors: Float32[Tensor, "batch 3"]
) -> Float32[Tensor, "batch 3 h w"]:
    """Views, whose values are in [0, 1], with other brightness, contrast and saturation. Changes ``x`` itself."""
    b, c, s = (factor.view(-1, 1, 1, 1) for factor in factors.unbind(1))
    grey = (x * torch.tensor(GREY, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
    mean = grey.mean((2, 3), keepdim=True)
    return x.mul_(b * c * s).add_(grey.mul_(b * c * (1 - s)).add_((1 - c) * b * mean)).clamp_(0, 1)
