"""What is behind a drawn bird: blurred distance, a habitat's clutter, and something to stand on.

Nothing here knows the species. Berries, petals and seeds have the colours and about the size of the
birds' marks, so a coloured dot alone says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFilter

from wingbar.data.synthetic._drawing import GOLD, SCARLET, SLATE, WHITE, Colour, mix

FINE = 2
"""The near clutter is drawn this much finer than the picture, and averaged down."""

SKY = ((196, 220, 238), (128, 172, 214), (236, 222, 204))
LEAVES = ((92, 128, 60), (58, 96, 52), (140, 150, 70), (168, 128, 60))
REEDS = ((172, 154, 92), (120, 128, 66), (206, 186, 128))
WATER = ((110, 146, 160), (70, 106, 126), (160, 180, 180))
BARK = ((94, 72, 54), (122, 98, 74), (74, 62, 56), (142, 126, 108))
DOTS = (SCARLET, GOLD, WHITE, SLATE)


def backdrop(
    size: tuple[int, int], feet: Float[ndarray, "2"], unit: float, rng: np.random.Generator
) -> UInt8[ndarray, "height width 3"]:
    """A scene of ``size`` (width, height) with a perch under ``feet``; ``unit``: half a body, in pixels."""
    palette, clutter = HABITATS[rng.integers(len(HABITATS))]
    far = _distance(size, palette, rng)
    fine = far.resize((size[0] * FINE, size[1] * FINE), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(fine)
    clutter(pen, fine.size, rng)
    _dots(pen, fine.size, unit * FINE, rng)
    _perch(pen, fine.size, feet * FINE, unit * FINE, rng)
    return np.asarray(fine.reduce(FINE))


def _distance(size: tuple[int, int], palette: tuple[Colour, ...], rng: np.random.Generator) -> Image.Image:
    top, bottom = _shade(palette, rng), _shade(palette, rng)
    rows = np.linspace(0, 1, 9)[:, None, None]
    coarse = (1 - rows) * np.array(top) + rows * np.array(bottom) + rng.uniform(-22, 22, (9, 12, 1))
    picture = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8))
    picture = picture.resize((size[0] // 2, size[1] // 2), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(4, 14)):  # lights out of focus
        x, y, radius = rng.uniform(0, picture.width), rng.uniform(0, picture.height), rng.uniform(2, 9)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_shade(palette + LEAVES[:2], rng))
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(1.0, 3.0)))
    return picture.resize(size, Image.Resampling.BILINEAR)


def _shade(palette: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    colour = palette[rng.integers(len(palette))]
    return mix(colour, (0, 0, 0) if rng.random() < 0.5 else (255, 255, 255), rng.uniform(0, 0.3))


def _twigs(pen: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator) -> None:
    for _ in range(rng.integers(2, 6)):
        x, y, heading = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(0, 2 * math.pi)
        _stem(pen, (x, y), heading, rng.uniform(60, 260), rng.uniform(1.5, 6), _shade(BARK, rng), rng)


def _stem(
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float],
    heading: float,
    length: float,
    width: float,
    colour: Colour,
    rng: np.random.Generator,
) -> None:
    """A bent, tapering line."""
    steps, bend, (x, y) = 6, rng.uniform(-0.2, 0.2), start
    left, right = [], []
    for step in range(steps + 1):
        half = width * (1 - 0.7 * step / steps) / 2
        left.append((x - half * math.sin(heading), y + half * math.cos(heading)))
        right.append((x + half * math.sin(heading), y - half * math.cos(heading)))
        x, y = x + length / steps * math.cos(heading), y + length / steps * math.sin(heading)
        heading += bend
    pen.polygon(left + right[::-1], fill=colour)


def _leaves(pen: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator) -> None:
    _twigs(pen, size, rng)
    for _ in range(rng.integers(6, 22)):
        centre, turn = rng.uniform((0, 0), size), rng.uniform(0, 2 * math.pi)
        length, colour = rng.uniform(8, 34), _shade(LEAVES, rng)
        _leaf(pen, centre, turn, length, colour)


def _leaf(pen: ImageDraw.ImageDraw, centre: ndarray, turn: float, length: float, colour: Colour) -> None:
    along = np.array([-1, -0.5, 0.1, 0.6, 1, 0.6, 0.1, -0.5]) * length
    across = np.array([0, 0.32, 0.42, 0.26, 0, -0.26, -0.42, -0.32]) * length
    c, s = math.cos(turn), math.sin(turn)
    outline = np.stack([centre[0] + c * along - s * across, centre[1] + s * along + c * across], axis=1)
    pen.polygon(outline.ravel().tolist(), fill=colour)
    pen.line((*outline[0].tolist(), *outline[4].tolist()), fill=mix(colour, (0, 0, 0), 0.25), width=2)


def _reeds(pen: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator) -> None:
    for _ in range(rng.integers(8, 22)):
        start, length = (rng.uniform(0, size[0]), size[1] + 10.0), rng.uniform(0.3, 1.1) * size[1]
        heading, width = rng.normal(-math.pi / 2, 0.12), rng.uniform(3, 9)
        _stem(pen, start, heading, length, width, _shade(REEDS, rng), rng)


def _ripples(pen: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator) -> None:
    for _ in range(rng.integers(10, 30)):
        x, y, length = rng.uniform(0, size[0]), rng.uniform(0.2, 1) * size[1], rng.uniform(10, 80)
        thick = 1 + 3 * y / size[1]
        pen.ellipse((x - length, y - thick, x + length, y + thick), fill=_shade(WATER, rng))
    if rng.random() < 0.5:
        _reeds(pen, size, rng)


def _dots(pen: ImageDraw.ImageDraw, size: tuple[int, int], unit: float, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 5)):
        (x, y), colour = rng.uniform((0, 0), size), DOTS[rng.integers(len(DOTS))]
        radius, kind = unit * rng.uniform(0.1, 0.28), rng.random()
        if kind < 0.5:  # a berry
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=mix(colour, (0, 0, 0), 0.1))
            glint = 0.35 * radius
            pen.ellipse((x - 2 * glint, y - 2 * glint, x - glint, y - glint), fill=mix(colour, WHITE, 0.6))
        else:  # a petal or a seed
            _leaf(pen, np.array([x, y]), rng.uniform(0, 2 * math.pi), 1.5 * radius, colour)


def _perch(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], feet: ndarray, unit: float, rng: np.random.Generator
) -> None:
    x, y = feet
    colour, thick = _shade(BARK, rng), unit * rng.uniform(0.22, 0.5)
    if rng.random() < 0.2:
        _stone(pen, x, y, unit, mix(colour, (150, 150, 150), 0.6), rng)
        return
    slope, reach = rng.uniform(-0.25, 0.25), rng.uniform(0.3, 1.2, 2) * size[0]
    ends = (-float(reach[0]), float(reach[1]))
    upper = [(x + end, y + slope * end) for end in ends]
    lower = [(x + end, y + slope * end + thick * taper) for end, taper in zip(ends, (1.2, 0.6), strict=True)]
    pen.polygon(upper + lower[::-1], fill=colour)
    lit = [(px, py + 0.3 * thick) for px, py in upper]
    pen.polygon(upper + lit[::-1], fill=mix(colour, (255, 240, 210), 0.2))
    for _ in range(rng.integers(0, 4)):
        end = rng.uniform(*ends)
        _leaf(pen, np.array([x + end, y + slope * end]), rng.uniform(0, 6), unit * 0.5, _shade(LEAVES, rng))


def _stone(
    pen: ImageDraw.ImageDraw, x: float, top: float, unit: float, colour: Colour, rng: np.random.Generator
) -> None:
    wide, high = unit * rng.uniform(1.0, 2.2), unit * rng.uniform(0.5, 1.0)
    pen.ellipse((x - wide, top - 0.02 * high, x + wide, top + 2 * high), fill=colour)
    lit = (x - 0.8 * wide, top + 0.1 * high, x + 0.7 * wide, top + 0.9 * high)
    pen.ellipse(lit, fill=mix(colour, WHITE, 0.25))


Clutter = Callable[[ImageDraw.ImageDraw, tuple[int, int], np.random.Generator], None]
HABITATS: tuple[tuple[tuple[Colour, ...], Clutter], ...] = (
    (SKY, _twigs),
    (LEAVES + SKY[:1], _leaves),
    (REEDS + SKY, _reeds),
    (WATER + SKY[:2], _ripples),
)
