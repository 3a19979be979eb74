"""One drawn bird: a side view made of polygons, in units of half a body length.

A bird is a list of shapes, painted in order on a canvas four times as fine as the picture and averaged
down, so edges are smooth. All that is random about a bird is drawn from the generator before its marks
are looked at: two birds of one seed differ in their marks and nowhere else.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Shape = tuple[Float[ndarray, "n 2"], Colour]

SUPERSAMPLING = 4
SCARLET, GOLD, WHITE, SLATE = (206, 36, 40), (250, 188, 30), (248, 246, 238), (58, 54, 56)
SHORT_BILL, LONG_BILL = 0.86, 1.36
"""How far the bill's tip is from the centre of the head."""


@dataclass(frozen=True)
class SpeciesMarks:
    """What tells one species from another; None: nothing to see there."""

    bill: Colour = SLATE
    bill_reach: float = SHORT_BILL
    crown: Colour | None = None
    wing_bar: Colour | None = None
    tail_tip: Colour | None = None


@dataclass(frozen=True)
class Frame:
    """Bird units (x forward, y down) to pixels: ``matrix @ point + origin``."""

    matrix: Float[ndarray, "2 2"]
    origin: Float[ndarray, "2"]

    def __call__(self, points: Sequence[Sequence[float]] | ndarray) -> Float[ndarray, "n 2"]:
        return np.asarray(points, dtype=np.float64) @ self.matrix.T + self.origin

    def at(self, point: tuple[float, float], turn: float = 0.0) -> Frame:
        """A frame that starts at ``point`` of this one, turned by ``turn`` radians (forward end down)."""
        c, s = math.cos(turn), math.sin(turn)
        return Frame(self.matrix @ np.array([[c, -s], [s, c]]), self([point])[0])


@dataclass(frozen=True)
class Bird:
    """A bird's frames and colours, all random, none of it telling the species."""

    world: Frame
    body: Frame
    head: Frame
    wing: Frame
    tail: Frame
    facing: int
    legs: float
    coat: Colour
    breast: Colour
    cheek: Colour
    leg: Colour
    stripes: int

    @property
    def feet(self) -> Float[ndarray, "2"]:
        """Where it stands, in pixels."""
        return self.world([(0.0, self.legs)])[0]


def random_bird(size: tuple[int, int], rng: np.random.Generator) -> Bird:
    """A bird of random pose, size, place and colours that lies inside a picture of ``size``."""
    facing = 1 if rng.random() < 0.5 else -1
    tilt, nod = rng.uniform(-0.75, 0.05), rng.uniform(-0.35, 0.35)
    droop, wag = rng.uniform(-0.05, 0.25), rng.uniform(-0.45, 0.35)
    legs = rng.uniform(0.95, 1.2)
    hue, share = rng.random(), rng.uniform(0.38, 0.6)
    coat = _hsv(hue, rng.uniform(0.12, 0.5), rng.uniform(0.32, 0.68))
    breast = _hsv(rng.random(), rng.uniform(0.05, 0.45), rng.uniform(0.6, 0.92))
    cheek = mix(coat, breast if rng.random() < 0.5 else SLATE, rng.uniform(0.0, 0.5))
    leg = mix(SLATE, (190, 120, 70), rng.random())
    stripes = int(rng.integers(0, 4))
    place = rng.random(2)

    def framed(unit: float, origin: ndarray) -> Bird:
        world = Frame(np.diag([facing * unit, unit]), origin)
        body = world.at((0.0, 0.0), tilt)
        wing = body.at((0.45, -0.2), droop)
        head = replace(world.at((0.0, 0.0), nod), origin=body([(0.82, -0.4)])[0])
        tail = body.at((-0.8, 0.02), wag)
        return Bird(world, body, head, wing, tail, facing, legs, coat, breast, cheek, leg, stripes)

    low, high = _envelope(framed(1.0, np.zeros(2)))
    picture = np.array(size, dtype=np.float64)
    unit = min(share * picture[0] / (high - low)[0], 0.8 * picture[1] / (high - low)[1])
    margin = 0.02 * picture
    room = picture - 2 * margin - unit * (high - low)
    return framed(unit, margin + place * room - unit * low)


def _envelope(bird: Bird) -> tuple[ndarray, ndarray]:
    # The longest bill counts, whatever the species: neither place nor size may tell it.
    points = np.concatenate([shape for shape, _ in shapes(bird, SpeciesMarks(bill_reach=LONG_BILL))])
    return points.min(0), points.max(0)


def shapes(bird: Bird, marks: SpeciesMarks) -> list[Shape]:
    """The bird from back to front, polygons in pixels."""
    far, near = _leg(bird, 0.22), _leg(bird, -0.12)
    dark = [(points, mix(colour, (0, 0, 0), 0.3)) for points, colour in far]
    return [*dark, *_tail(bird, marks), *_torso(bird), *_head(bird, marks), *_wing(bird, marks), *near]


def _leg(bird: Bird, x: float) -> list[Shape]:
    foot, bottom = x + 0.03, bird.legs
    stick = [(x - 0.045, 0.35), (x + 0.045, 0.35), (foot + 0.035, bottom), (foot - 0.035, bottom)]
    toes = [(foot - 0.12, bottom + 0.04), (foot, bottom - 0.07), (foot + 0.22, bottom + 0.05)]
    return [(bird.world(stick), bird.leg), (bird.world(toes), bird.leg)]


def _tail(bird: Bird, marks: SpeciesMarks) -> list[Shape]:
    dark = mix(bird.coat, (0, 0, 0), 0.35)
    end = [(-1.0, -0.19), (-1.14, -0.12), (-1.17, 0.0), (-1.14, 0.12), (-1.0, 0.19)]
    whole = [(0.25, -0.2), *end, (0.25, 0.2)]
    tip = [(-0.74, -0.193), *end, (-0.74, 0.193)]
    return [(bird.tail(whole), dark), (bird.tail(tip), marks.tail_tip or dark)]


def _torso(bird: Bird) -> list[Shape]:
    angle = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    egg = np.stack([np.cos(angle), (0.64 + 0.08 * np.cos(angle)) * np.sin(angle)], axis=1)
    chest, chin = bird.body([(0.42, -0.02)])[0], bird.head.origin
    pieces: list[Shape] = [(bird.body(egg), bird.coat)]
    for step in np.linspace(0.2, 0.9, 5):
        pieces.append((_disc(bird, chest + step * (chin - chest), 0.64 - 0.18 * step), bird.coat))
    for shrink in (0.0, 0.06, 0.12):  # a soft edge of the paler breast
        colour = mix(bird.coat, bird.breast, 0.34 + 5.5 * shrink)
        for x, y, radius in ((0.05, 0.22, 0.42), (0.35, 0.18, 0.47), (0.58, 0.08, 0.42)):
            pieces.append((_disc(bird, bird.body([(x, y)])[0], radius - shrink), colour))
    return pieces


def _head(bird: Bird, marks: SpeciesMarks) -> list[Shape]:
    angle = np.radians(np.linspace(-185, -22, 16))
    dome = 0.5 * np.stack([np.cos(angle), 1.06 * np.sin(angle)], axis=1)
    cap = np.concatenate([dome, [(0.12, -0.17), (-0.15, -0.1)]])
    reach = marks.bill_reach
    bill = [(0.34, -0.2), (0.5, -0.16), (reach, 0.07), (0.5, 0.21), (0.34, 0.22)]
    gape = [(0.36, 0.0), (reach - 0.08, 0.06), (0.36, 0.045)]
    at = bird.head
    return [
        (at(_circle(0.0, 0.0, 0.47)), bird.coat),
        (at(_circle(0.14, 0.1, 0.26)), bird.cheek),
        (at(cap), marks.crown or mix(bird.coat, (0, 0, 0), 0.15)),
        (at(bill), marks.bill),
        (at(gape), mix(marks.bill, (0, 0, 0), 0.35)),
        (at(_circle(0.2, -0.05, 0.115)), mix(bird.cheek, WHITE, 0.35)),
        (at(_circle(0.2, -0.05, 0.09)), (18, 16, 18)),
        (at(_circle(0.23, -0.08, 0.03)), (255, 255, 255)),
    ]


def _wing(bird: Bird, marks: SpeciesMarks) -> list[Shape]:
    along = np.linspace(0, 1, 16)
    outline = np.concatenate([_wing_edge(along, -1.0), _wing_edge(along, 1.0)[::-1]])
    dark = mix(bird.coat, (0, 0, 0), 0.28)
    pieces: list[Shape] = [(bird.wing(outline), dark)]
    for row in range(bird.stripes):  # flight feathers: seen on birds of any species
        side = -0.35 + 0.35 * row
        feather = [_wing_point(0.6, side - 0.1), _wing_point(0.95, side), _wing_point(0.6, side + 0.1)]
        pieces.append((bird.wing(feather), mix(bird.coat, (0, 0, 0), 0.5)))
    across = np.linspace(-1, 1, 7)
    front = [_wing_point(0.34 + 0.03 * v, v) for v in across]
    back = [_wing_point(0.5 + 0.03 * v, v) for v in across[::-1]]
    pieces.append((bird.wing(front + back), marks.wing_bar or dark))
    return pieces


def _wing_point(along: float, across: float) -> tuple[float, float]:
    half = 0.36 * math.sin(math.pi * along**0.6)
    return (-1.45 * along, across * half)


def _wing_edge(along: ndarray, side: float) -> Float[ndarray, "n 2"]:
    return np.array([_wing_point(s, side) for s in along])


def _circle(x: float, y: float, radius: float) -> Float[ndarray, "24 2"]:
    angle = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    return np.array([x, y]) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _disc(bird: Bird, centre: ndarray, radius: float) -> Float[ndarray, "24 2"]:
    return _circle(0.0, 0.0, radius) @ bird.world.matrix.T + centre


def keypoints(bird: Bird, marks: SpeciesMarks) -> dict[str, tuple[float, float]]:
    """The visible ones of CUB-200-2011's fifteen points, in pixels: a side view hides an eye and a wing."""
    near, far = ("left", "right") if bird.facing < 0 else ("right", "left")
    head = {
        "beak": ((0.42 + marks.bill_reach) / 2, 0.03),
        "crown": (-0.05, -0.36),
        "forehead": (0.34, -0.26),
        f"{near} eye": (0.2, -0.05),
        "nape": (-0.42, 0.0),
        "throat": (0.26, 0.36),
    }
    body = {"back": (-0.25, -0.5), "belly": (0.05, 0.5), "breast": (0.66, 0.2)}
    points = {name: bird.head([point])[0] for name, point in head.items()}
    points |= {name: bird.body([point])[0] for name, point in body.items()}
    points["tail"] = bird.tail([(-0.95, 0.0)])[0]
    points[f"{near} wing"] = bird.wing([_wing_point(0.42, 0.0)])[0]
    points[f"{near} leg"] = bird.world([(-0.1, bird.legs - 0.1)])[0]
    points[f"{far} leg"] = bird.world([(0.24, bird.legs - 0.1)])[0]
    return {name: (float(x), float(y)) for name, (x, y) in sorted(points.items())}


def paint(bird: Bird, marks: SpeciesMarks, size: tuple[int, int]) -> UInt8[ndarray, "height width 4"]:
    """The bird alone on a clear ground: RGB, lit from above, and how much of each pixel it covers."""
    pieces = shapes(bird, marks)
    points = np.concatenate([shape for shape, _ in pieces])
    left, top = np.floor(points.min(0)).astype(int) - 1
    right, bottom = np.ceil(points.max(0)).astype(int) + 2
    fine = Image.new("RGBA", ((right - left) * SUPERSAMPLING, (bottom - top) * SUPERSAMPLING))
    pen = ImageDraw.Draw(fine)
    for shape, colour in pieces:
        pen.polygon(np.round((shape - (left, top)) * SUPERSAMPLING).astype(int).ravel().tolist(), fill=colour)
    small = np.asarray(fine.reduce(SUPERSAMPLING)).copy()
    light = np.linspace(1.1, 0.86, len(small))[:, None, None]
    small[..., :3] = np.clip(small[..., :3] * light, 0, 255)
    layer = Image.new("RGBA", size)
    layer.paste(Image.fromarray(small), (int(left), int(top)))
    return np.asarray(layer)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Colour ``a`` with ``share`` of ``b``."""
    red, green, blue = (round(x + share * (y - x)) for x, y in zip(a, b, strict=True))
    return (red, green, blue)


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = (round(255 * v) for v in colorsys.hsv_to_rgb(hue, saturation, value))
    return (red, green, blue)
