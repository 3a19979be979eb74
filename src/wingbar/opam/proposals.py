"""Candidate boxes of a picture: selective search (Uijlings et al., IJCV 2013), without training.

    boxes = the boxes of all regions of all hierarchies, ordered by ``_ranking``

A hierarchy (section 3 of the paper) starts from a graph segmentation and joins the two most similar
neighbours until one region is left. Hierarchies differ in colour space, in the segmentation's scale and in
the mix of similarities. Where we differ: a small copy of the picture is searched, since many hierarchies of
a small copy hold better boxes than few of a large one in the same time; texture is counted from plain
differences; and the order is not random (see ``_ranking``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int32, UInt8
from numpy import ndarray
from PIL import Image

from wingbar import boxes as geometry
from wingbar._system.settings import within
from wingbar.errors import ConfigError, PictureError, suggestion
from wingbar.images import Picture
from wingbar.opam import _colour, _grouping, _ranking, _segmentation
from wingbar.opam.maps import working_size

_SPACES: dict[str, Callable[[ndarray], ndarray]] = {
    "hsv": _colour.to_hsv,
    "lab": _colour.to_lab,
    "chromaticity": _colour.to_chromaticity,
    "opponent": _colour.to_opponent,
    "rgb": np.copy,
}
# weights of colour, texture, size and fill, and how far the boxes are put back (see _ranking)
_MIXES = (
    ((1, 1, 1, 1), 0.0),
    ((1, 0, 1, 0), 0.0),
    ((0, 1, 1, 1), 0.0),
    ((1, 0, 1, 1), 0.0),
    ((0, 0, 1, 1), 1.0),
    ((0, 0, 1, 0), 1.0),
)


@dataclass(frozen=True)
class _Preset:
    pixels: int  # of the small copy that is searched
    spaces: tuple[str, ...]
    scales: tuple[float, ...]  # k of the graph segmentation
    sigma: float = 0.6


_PRESETS = {
    "fast": _Preset(28_000, ("hsv", "lab", "chromaticity", "opponent"), (60.0, 120.0, 240.0)),
    "quality": _Preset(62_000, ("hsv", "lab", "chromaticity", "opponent", "rgb"), (40.0, 80.0, 160.0, 320.0)),
}
_MOST_REGIONS = 1500  # of one segmentation: bounds the table of similarities on noise


@dataclass(frozen=True)
class ProposalSettings:
    """Selective search."""

    mode: Literal["fast", "quality"] = "fast"
    """How many colour spaces, scales and similarities are tried."""
    limit: int = 500
    """Candidates kept of each picture, best first."""
    side: int = 320
    """Pictures are searched at this short side at most."""

    def __post_init__(self) -> None:
        within(self, "proposals", limit=(1, 10_000), side=(32, 2048))


def propose(picture: Picture, settings: ProposalSettings) -> Int32[ndarray, "n 4"]:
    """Candidate boxes in pixels of the original, best first."""
    working = working_size(picture.size, settings.side)
    pixels = picture.pixels
    if pixels.shape[:2] != working[::-1]:
        pixels = np.array(Image.fromarray(pixels).resize(working, Image.Resampling.BICUBIC, reducing_gap=2.0))
    boxes = selective_search(pixels, mode=settings.mode, limit=settings.limit)
    return geometry.rescale(boxes, working, picture.size)


def felzenszwalb(
    image: UInt8[ndarray, "height width 3"], scale: float, sigma: float, min_size: int
) -> Int32[ndarray, "height width"]:
    """Labels of the graph segmentation of a picture (Felzenszwalb & Huttenlocher, IJCV 2004).

    ``scale`` is the paper's k for colours in 0 to 255; ``sigma`` the blur before it, in pixels; regions
    of fewer than ``min_size`` pixels are joined to a neighbour. Labels count from 0 in reading order.
    Pixels have eight neighbours; the colour distance is Euclidean in RGB.
    Raises `PictureError` for a picture without pixels.
    """
    height, width = _checked_size(image)
    planes = _segmentation.smooth(_planes(image), float(sigma))
    weights, ids = _segmentation.sorted_edges(planes)
    return _segmentation.segment(weights, ids, height, width, float(scale), int(min_size))[0]


def selective_search(
    image: UInt8[ndarray, "height width 3"],
    *,
    mode: Literal["fast", "quality"] = "fast",
    min_side: int = 20,
    limit: int | None = None,
) -> Int32[ndarray, "boxes 4"]:
    """Boxes (xyxy, half-open, pixels of ``image``) that may hold an object or a part, likeliest first.

    Boxes with a side under ``min_side`` pixels are dropped (a picture smaller than that keeps the boxes that
    span it), so are duplicates, and the box of the whole picture is always found; at most ``limit`` are
    returned. The same picture gives the same boxes in the same order, on any number of threads; the GIL is
    free meanwhile. Corners of a large picture are as coarse as its search copy (``_PRESETS``).
    Raises `PictureError` for a picture without pixels and `ConfigError` for an unknown ``mode``.
    """
    height, width = _checked_size(image)
    if mode not in _PRESETS:
        raise ConfigError(f"mode {mode!r} is not one of {', '.join(_PRESETS)}.{suggestion(mode, _PRESETS)}")
    small = _shrunk(image, _PRESETS[mode].pixels)
    inner_height, inner_width = small.shape[:2]
    candidates, prior = _hierarchies(small, _PRESETS[mode])
    ranked = _ranking.rank(candidates, prior, inner_width, inner_height)
    boxes = geometry.rescale(ranked, (inner_width, inner_height), (width, height))
    least = np.minimum(min_side, (width, height))
    return boxes[(boxes[:, 2:] - boxes[:, :2] >= least).all(axis=1)][:limit]


def _checked_size(image: ndarray) -> tuple[int, int]:
    if image.size == 0:
        raise PictureError(f"a picture of {image.shape[1]} x {image.shape[0]} pixels has nothing to find; leave it out")
    return image.shape[0], image.shape[1]


def _planes(image: ndarray) -> ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)


def _shrunk(image: ndarray, pixels: int) -> ndarray:
    height, width = image.shape[:2]
    factor = (pixels / (height * width)) ** 0.5
    if factor >= 1:
        return image
    size = (min(max(round(width * factor), 1), pixels), min(max(round(height * factor), 1), pixels))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _hierarchies(image: ndarray, preset: _Preset) -> tuple[ndarray, ndarray]:
    """Boxes int32 [n, 4] of all hierarchies, and ``log(level) + penalty`` of each; the root has level 1."""
    height, width = image.shape[:2]
    rgb = np.clip(_segmentation.smooth(_planes(image), preset.sigma), 0, 255)
    candidates, prior = [], []
    for space in preset.spaces:
        planes = _SPACES[space](rgb)
        weights, ids = _segmentation.sorted_edges(planes, fine=False)
        textures = _grouping.texture_bins(planes)
        for scale in preset.scales:
            least = max(int(scale / 4), height * width // _MOST_REGIONS)
            labels, number = _segmentation.segment(weights, ids, height, width, scale, least)
            regions = _grouping.describe(labels, number, planes, textures)
            touching = _grouping.neighbours(labels, number)
            for mix, penalty in _MIXES:
                boxes = _grouping.group(*regions, touching, height * width, np.array(mix, np.float32))
                candidates.append(boxes)
                prior.append(np.log(np.arange(len(boxes), 0, -1)) + penalty)
    return np.concatenate(candidates), np.concatenate(prior)
