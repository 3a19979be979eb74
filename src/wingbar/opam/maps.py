"""Arithmetic of maps: float32 ``[h, w]`` grids that span a picture, at whatever resolution a net gives;
and of the feature vectors at their places."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Float32, Real
from numpy import ndarray
from PIL import Image

TINY = np.finfo(np.float32).tiny


def stretch(maps: Float[ndarray, "*n h w"]) -> Float[ndarray, "*n h w"]:
    """Each map stretched to [0, 1]; a constant map becomes zero."""
    low, high = maps.min((-2, -1), keepdims=True), maps.max((-2, -1), keepdims=True)
    return (maps - low) / np.maximum(high - low, TINY)


def unit(vectors: Float[ndarray, "*n channels"], least: float = 1e-12) -> Float32[ndarray, "*n channels"]:
    """Vectors scaled to length one; one shorter than ``least`` stays short, one of zeros as it is."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(lengths, least)).astype(np.float32)


def resize_map(saliency_map: Float[ndarray, "h w"], size: tuple[int, int]) -> Float32[ndarray, "height width"]:
    """A map in [0, 1] at ``size`` (width, height) by bicubic interpolation, cut to [0, 1]."""
    resized = Image.fromarray(np.asarray(saliency_map, np.float32)).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(resized, np.float32), 0.0, 1.0)


def working_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) of the copy that boxes are found on: short side at most ``side``, area at most 4 side^2."""
    scale = min(1.0, side / min(size), 2 * side / math.sqrt(size[0] * size[1]))
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def pool_boxes(
    maps: Float[ndarray, "channels h w"], boxes: Real[ndarray, "n 4"], size: tuple[int, int]
) -> Float[ndarray, "n channels"]:
    """Mean of each channel over each box (pixels of a picture of ``size``), every cell by its share in the box."""
    boxes = np.asarray(boxes, np.float64)
    down = cell_shares(boxes[:, 1], boxes[:, 3], size[1], maps.shape[1])
    across = cell_shares(boxes[:, 0], boxes[:, 2], size[0], maps.shape[2])
    return np.einsum("chw,nh,nw->nc", maps, down, across, optimize=True).astype(maps.dtype)


def cell_shares(
    start: Float[ndarray, "n"], stop: Float[ndarray, "n"], length: float, cells: int
) -> Float[ndarray, "n cells"]:
    """The part of each interval that falls into each of the ``cells`` that divide 0 to ``length``.

    The parts of one interval add up to one; of one that lies outside, to none.
    """
    edges = np.arange(cells + 1) * (length / cells)
    overlap = np.minimum(stop[:, None], edges[1:]) - np.maximum(start[:, None], edges[:-1])
    overlap = np.maximum(overlap, 0.0)
    return overlap / np.maximum(overlap.sum(1, keepdims=True), TINY)
