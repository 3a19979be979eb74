"""Pictures that are the same photograph: found by a perceptual hash, confirmed by laying one over the other.

The hash is pHash's (Zauner, *Implementation and Benchmarking of Perceptual Image Hash Functions*, 2010) with more bits:
the signs of the lowest 16 x 16 coefficients, without the mean's, of a small grey copy's cosine transform. Re-encoding,
shrinking and brightening turn few bits; a crop of 5 % turns a fifth, as many as separate some different pictures.
So the hash only proposes pairs. A pair is the same photograph if one, a little shrunk, correlates with some
place of the other. Bounds were chosen on real birds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import scipy.fft
from jaxtyping import Float32, Int, UInt8
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy.cluster.hierarchy import DisjointSet

SIDE = 48
"""Pixels of the square grey copy that stands for a picture."""
LOWEST = 16
"""Frequencies kept in each direction."""
BITS = LOWEST * LOWEST - 1
PROPOSED = 92
"""Bits out of 255 that two hashes may differ in to be compared at all; unrelated ones differ in about 127."""
SAME = 0.9
"""Correlation from which two pictures are one photograph."""
LEAST_SHARE = 0.84
"""Share of its sides that a cropped copy keeps at least."""
PATIENCE = 8
"""Comparisons in vain after which a picture is compared no more, unless the other still is."""
FLAT = 1.0
"""Standard deviation in grey values below which a picture shows nothing to compare."""

NEAR = 56
"""Bits that a copy's hash may differ in where the hash is all that is left of the other picture.

Of 500 pictures of cub50 the nearest two different ones differ in 80 bits; copies that were shrunk to a quarter,
re-encoded, brightened by a quarter or cropped by 2 % at two sides in 50 at most, those cropped by 5 % in 78 (median).
"""
DIGEST = 16
"""Bytes of a file's SHA-256 that are kept."""

Small = UInt8[ndarray, "side side"]


def small_copy(pixels: UInt8[ndarray, "height width 3"]) -> Small:
    """The picture as a small grey square."""
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def hashes(smalls: UInt8[ndarray, "n side side"]) -> Float32[ndarray, "n bits"]:
    """Each picture's hash as 255 signs, +1 or -1: half the bits less a dot product is half the distance."""
    waves = scipy.fft.dctn(smalls.astype(np.float32), axes=(1, 2), norm="ortho")
    low = waves[:, :LOWEST, :LOWEST].reshape(len(smalls), BITS + 1)[:, 1:]
    return np.where(low > 0, 1, -1).astype(np.float32)


def packed(smalls: UInt8[ndarray, "n side side"]) -> UInt8[ndarray, "n bytes"]:
    """Each picture's hash in 32 bytes."""
    return np.packbits(hashes(smalls) > 0, axis=1)


def nearest(bits: UInt8[ndarray, "n bytes"], others: UInt8[ndarray, "m bytes"], chunk: int = 1024) -> Int[ndarray, "n"]:
    """In how many bits each hash differs from the nearest of the ``others``; in more than all where there are none."""
    least = np.full(len(bits), BITS + 1, np.int64)
    mine = _signs(bits)
    for start in range(0, len(others), chunk):
        distance = (BITS - mine @ _signs(others[start : start + chunk]).T) / 2
        least = np.minimum(least, distance.min(1).round().astype(np.int64))
    return least


def _signs(bits: UInt8[ndarray, "n bytes"]) -> Float32[ndarray, "n bits"]:
    return np.unpackbits(bits, axis=1, count=BITS).astype(np.float32) * 2 - 1


def close_pairs(
    signs: Float32[ndarray, "n bits"], bits: int = PROPOSED, chunk: int = 1024
) -> Iterator[Int[ndarray, "pairs 2"]]:
    """Pairs ``i < j`` whose hashes differ in at most ``bits``, the nearest first among some rows at a time.

    Memory grows with n alone.
    """
    for start in range(0, len(signs), chunk):
        distance = (signs.shape[1] - signs[start : start + chunk] @ signs[start:].T) / 2
        rows, columns = np.nonzero(np.triu(distance <= bits, 1))
        nearest = np.argsort(distance[rows, columns], kind="stable")
        yield start + np.stack([rows, columns], 1)[nearest]


def similarity(first: Small, second: Small) -> float:
    """The best correlation, in [-1, 1], of one picture with a place of the other, whichever is the cropped one."""
    return max(_best_place(first, second), _best_place(second, first))


def _best_place(whole: Small, crop: Small) -> float:
    best = -1.0
    for side in range(round(LEAST_SHARE * SIDE), SIDE + 1):
        shrunk = Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC)
        pattern = np.asarray(shrunk, np.float32).ravel()
        pattern = pattern - pattern.mean()
        places = sliding_window_view(whole, (side, side)).reshape(-1, side * side).astype(np.float32)
        places -= places.mean(1, keepdims=True)
        norms = np.linalg.norm(places, axis=1) * np.linalg.norm(pattern)
        best = max(best, float((places @ pattern / np.maximum(norms, 1e-6)).max()))
    return best


def same_photographs(
    digests: Iterable[str], smalls: UInt8[ndarray, "n side side"], same: float = SAME
) -> tuple[list[list[int]], dict[tuple[int, int], float]]:
    """Groups of two or more pictures that are one photograph, and the similarity of the pairs that joined them.

    Files of equal ``digests`` are equal, whatever they show. Pictures of a single colour are compared by digest only.
    Comparisons grow with the pictures, not with their pairs: what is joined already needs no second proof, and of
    thousands that look alike without being the same (a camera that never moves) each has its `PATIENCE` only.
    """
    joined = DisjointSet(range(len(smalls)))
    first_of: dict[str, int] = {}
    for index, digest in enumerate(digests):
        joined.merge(first_of.setdefault(digest, index), index)
    detailed = smalls.std((1, 2)) >= FLAT
    unlike = np.array([index for index in first_of.values() if detailed[index]], np.int64)
    links: dict[tuple[int, int], float] = {}
    vain = np.zeros(len(smalls), np.int64)
    for pairs in close_pairs(hashes(smalls[unlike])):
        for i, j in unlike[pairs].tolist():
            if joined.connected(i, j) or min(vain[i], vain[j]) >= PATIENCE:
                continue
            if (likeness := similarity(smalls[i], smalls[j])) >= same:
                joined.merge(i, j)
                links[i, j] = likeness
            else:
                vain[[i, j]] += 1
    groups = sorted(sorted(group) for group in joined.subsets() if len(group) > 1)
    return groups, links
