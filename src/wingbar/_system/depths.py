"""Pixels of more than 8 bits: what stands for white in them, and the bits that Pillow drops.

White is the largest number of the fewest bits (`BIT_DEPTHS`) that hold the brightest pixel, because a file of 16 bits
does not say that its camera had 12.
"""

from __future__ import annotations

import sys

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageFile

from wingbar.errors import PictureError

BIT_DEPTHS = (8, 10, 12, 14, 16, 20, 24, 31, 32)
"""Bits that cameras, scanners and programs count light with."""


def to_8_bits(values: ndarray) -> UInt8[ndarray, "..."]:
    """Black to white as 0 to 255, rounded. Pillow's own conversion clips at 255 instead.

    Raises ``PictureError`` for pixels that have no fixed black and white.
    """
    white = _white(values)
    if values.dtype.kind == "f":
        return np.clip(values * np.float32(255 / white) + np.float32(0.5), 0, 255).astype(np.uint8)
    table_bits = min(white.bit_length(), 16)
    levels = np.arange(2**table_bits)
    table = ((levels * 255 + levels[-1] // 2) // levels[-1]).astype(np.uint8)
    return table[values >> (white.bit_length() - table_bits)]


def loses_low_bytes(image: Image.Image) -> bool:
    """Whether colours of 16 bits are about to be decoded, of which Pillow keeps the upper 8."""
    return image.mode in ("RGB", "RGBA") and any(_swapped_order(tile.args) for tile in getattr(image, "tile", ()))


def load_low_bytes(image: ImageFile.ImageFile) -> None:
    """Load a picture for which ``loses_low_bytes`` holds, but of each colour the lower 8 bits."""
    image.tile = [tile._replace(args=_swapped_order(tile.args)) for tile in image.tile]
    image.load()


def _white(values: ndarray) -> int:
    """What stands for white in pixels of more than 8 bits: 1 for fractions, else the most that their bits can hold."""
    darkest, brightest = float(values.min()), float(values.max())
    if not (darkest >= 0 and brightest < 2 ** BIT_DEPTHS[-1]):  # not a number is neither
        raise PictureError("pixels below 0 or without bounds have no fixed black and white; save it with 8 or 16 bits")
    if values.dtype.kind == "f" and brightest <= 1.5:  # resampling may lead a little beyond 1
        return 1
    return next(2**bits - 1 for bits in BIT_DEPTHS if brightest < 2**bits)


def _swapped_order(arguments: object) -> tuple[object, ...] | None:
    """A decoder's arguments with the order of bytes swapped: it then keeps the lower 8 of 16 bits."""
    first, *rest = arguments if isinstance(arguments, tuple) else (arguments,)
    kind, _, order = str(first).partition(";16")
    swapped = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    return (f"{kind};16{swapped[order]}", *rest) if kind in ("RGB", "RGBA") and order in swapped else None
