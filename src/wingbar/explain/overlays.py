"""Maps drawn over a picture: saliency as brightness, contrasts in two colours that are safe for the colour-blind."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image

FIRST, SECOND = (213, 94, 0), (0, 114, 178)
"""The colours of the two compared classes: vermillion and blue of Okabe and Ito's colour-blind safe palette."""
PARTS = ((240, 228, 66), (86, 180, 233), (0, 158, 115), (204, 121, 167))
"""The colours of the parts, by cluster: other colours of the same palette."""


def heat(
    pixels: UInt8[ndarray, "height width 3"], saliency: Float[ndarray, "height width"]
) -> UInt8[ndarray, "height width 3"]:
    """Darken the picture where its saliency is low: saliency 0 keeps 15 % of the brightness, 1 keeps all."""
    return np.round(pixels * (0.15 + 0.85 * saliency[..., None])).astype(np.uint8)


def diverging(
    pixels: UInt8[ndarray, "height width 3"], share: Float[ndarray, "height width"]
) -> UInt8[ndarray, "height width 3"]:
    """The picture in pale grey, coloured by ``share`` in [-1, 1]: `FIRST` above zero, `SECOND` below, at most 85 %."""
    grey = 110 + 0.57 * (pixels @ np.array([0.299, 0.587, 0.114]))[..., None]
    colour = np.where(share[..., None] > 0, np.array(FIRST, float), np.array(SECOND, float))
    strength = 0.85 * np.abs(share[..., None])
    return np.round(grey * (1 - strength) + colour * strength).astype(np.uint8)


def resized(values: Float[ndarray, "h w"], size: tuple[int, int]) -> Float[ndarray, "height width"]:
    """Resize a map to ``size`` (width, height); the values stay between its minimum and maximum."""
    smooth = Image.fromarray(np.asarray(values, np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth), values.min(), values.max())
