"""Colour spaces for proposals, compiled. Planes are float32 [3, height, width], every channel in 0 to 255."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import float32
from numpy import ndarray

from wingbar.opam._compiled import compiled

_STEPS = 4  # table entries per grey level: smoothed pictures lie between the levels


def _linear_light() -> ndarray:
    level = np.arange(255 * _STEPS + 1) / (255 * _STEPS)
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


def _lightness() -> ndarray:
    level = np.arange(4097) / 4096
    cube = np.where(level > (6 / 29) ** 3, np.cbrt(level), level / (3 * (6 / 29) ** 2) + 4 / 29)
    return cube.astype(np.float32)


_LINEAR, _CUBE = _linear_light(), _lightness()


@compiled()
@no_type_check
def to_lab(rgb: ndarray) -> ndarray:
    """CIE L*a*b* of sRGB under D65, as 2.55 L, a + 128, b + 128."""
    _, height, width = rgb.shape
    out = np.empty_like(rgb)
    for y in range(height):
        for x in range(width):
            r = _LINEAR[int(rgb[0, y, x] * _STEPS + float32(0.5))]
            g = _LINEAR[int(rgb[1, y, x] * _STEPS + float32(0.5))]
            b = _LINEAR[int(rgb[2, y, x] * _STEPS + float32(0.5))]
            fx = _CUBE[int((0.4339 * r + 0.3762 * g + 0.1899 * b) * 4096)]
            fy = _CUBE[int((0.2126 * r + 0.7152 * g + 0.0722 * b) * 4096)]
            fz = _CUBE[int((0.0178 * r + 0.1095 * g + 0.8727 * b) * 4096)]
            out[0, y, x] = 2.55 * (116 * fy - 16)
            out[1, y, x] = 500 * (fx - fy) + 128
            out[2, y, x] = 200 * (fy - fz) + 128
    return out


@compiled()
@no_type_check
def to_hsv(rgb: ndarray) -> ndarray:
    """Hue, saturation and value, each in 0 to 255."""
    _, height, width = rgb.shape
    out = np.empty_like(rgb)
    for y in range(height):
        for x in range(width):
            r, g, b = rgb[0, y, x], rgb[1, y, x], rgb[2, y, x]
            value = max(r, g, b)
            spread = value - min(r, g, b)
            hue = float32(0)
            if spread > 0:
                if value == r:
                    hue = (g - b) / spread
                elif value == g:
                    hue = 2 + (b - r) / spread
                else:
                    hue = 4 + (r - g) / spread
            out[0, y, x] = (hue if hue >= 0 else hue + 6) * float32(42.5)
            out[1, y, x] = float32(255) * spread / max(value, float32(1))
            out[2, y, x] = value
    return out


@compiled()
@no_type_check
def to_chromaticity(rgb: ndarray) -> ndarray:
    """Red's and green's share of the light, which shadows leave alone, and intensity.

    30 is added to the sum, so that the noise of dark pixels is not taken for colour.
    """
    _, height, width = rgb.shape
    out = np.empty_like(rgb)
    for y in range(height):
        for x in range(width):
            r, g, b = rgb[0, y, x], rgb[1, y, x], rgb[2, y, x]
            light = r + g + b
            out[0, y, x] = 255 * r / (light + 30)
            out[1, y, x] = 255 * g / (light + 30)
            out[2, y, x] = light / 3
    return out


@compiled()
@no_type_check
def to_opponent(rgb: ndarray) -> ndarray:
    """Intensity, red against green, yellow against blue."""
    _, height, width = rgb.shape
    out = np.empty_like(rgb)
    for y in range(height):
        for x in range(width):
            r, g, b = rgb[0, y, x], rgb[1, y, x], rgb[2, y, x]
            out[0, y, x] = (r + g + b) / 3
            out[1, y, x] = (r - g) / 2 + 128
            out[2, y, x] = (r + g - 2 * b) / 4 + 128
    return out
