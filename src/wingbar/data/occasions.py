"""Occasions: pictures that were taken together, and of which one says little beside another.

Ten frames of one bird are one observation: a cut that puts some of them on either side flatters. Where a table names
groups (column ``group``: site, day, individual), these are the occasions. Else pictures belong together that one camera
took within `PAUSE` seconds of the next, by their EXIF time, and those that are the same photograph (`duplicates`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray
from scipy.cluster.hierarchy import DisjointSet

from wingbar.data.sample import Sample
from wingbar.images import exif_of

PAUSE = 60.0
"""Seconds between two pictures of one occasion, at most."""
EXIF, TAKEN, MODEL = 0x8769, 0x9003, 0x0110

Taken = tuple[str, float]
"""The camera, and the time in seconds."""


def taken(path: Path) -> Taken | None:
    """Which camera took a picture, and when, by its EXIF; None where that is not said, or cannot be read."""
    try:
        exif = exif_of(path)
        text = exif.get_ifd(EXIF).get(TAKEN)
        moment = datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        return str(exif.get(MODEL, "")), (moment - datetime(1900, 1, 1)).total_seconds()
    except Exception:  # hostile bytes: whoever cannot say when, was there alone
        return None


def occasions(times: Sequence[Taken | None], smalls: UInt8[ndarray, "n side side"] | None = None) -> Int[ndarray, "n"]:
    """The number of each picture's occasion; without ``smalls`` no photographs are compared."""
    from wingbar.data.duplicates import same_photographs

    joined = DisjointSet(range(len(times)))
    dated = sorted((time, place) for place, time in enumerate(times) if time is not None)
    for ((camera, before), one), ((other_camera, after), other) in pairwise(dated):
        if camera == other_camera and after - before <= PAUSE:
            joined.merge(one, other)
    if smalls is not None:
        groups, _ = same_photographs(map(str, range(len(smalls))), smalls)
        for first, *others in groups:
            for other in others:
                joined.merge(first, other)
    return numbered([joined[place] for place in range(len(times))])


def named_groups(names: Sequence[str]) -> Int[ndarray, "n"]:
    """The number of each picture's group; one without a name is alone."""
    return numbered([(name, -1) if name else ("", place) for place, name in enumerate(names)])


def groups_of(
    samples: Sequence[Sample], times: Sequence[Taken | None], smalls: UInt8[ndarray, "n side side"] | None = None
) -> Int[ndarray, "n"]:
    """The occasions that the data set names; where it names none, those that are found: see `occasions`."""
    if any(sample.group for sample in samples):
        return named_groups([sample.group for sample in samples])
    return occasions(times, smalls)


def numbered(keys: Sequence[object]) -> Int[ndarray, "n"]:
    """Equal keys -> equal numbers, from zero in the order in which they come."""
    first: dict[object, int] = {}
    return np.array([first.setdefault(key, len(first)) for key in keys], np.int64)
