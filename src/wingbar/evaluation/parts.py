"""Parts: which keypoints the boxes of each cluster contain, and how consistently.

Keypoints serve evaluation only. A cluster is consistent when its boxes hold the same keypoint in
picture after picture, more often than their mere size explains:

    consistency = max over keypoints k of (share of the boxes that hold k - mean relative area of those boxes)

both over the pictures in which k is visible. The relative area is the share of the object's box that the
part covers: the chance of holding a point thrown anywhere into the object's box. Real keypoints lie towards
the middle of their box and large parts are held to the middle too, so any part beats that chance and a
maximum over keypoints is never modest. Read the figure beside the one for SHUFFLED clusters: the same boxes,
their cluster numbers dealt out at random over all parts. Alignment means something as far as it is above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from wingbar import boxes as geometry
from wingbar.boxes import Box

SHUFFLES = 50
ENOUGH = 0.1
"""A keypoint visible with fewer than this share of a cluster's boxes does not decide its consistency."""


@dataclass(frozen=True)
class PictureParts:
    """The parts of one picture and the truth about it, in pixels of the picture."""

    boxes: Int[ndarray, "parts 4"]
    clusters: Int[ndarray, "parts"]
    keypoints: Sequence[tuple[str, float, float]]
    """(name, x, y) of the VISIBLE ones."""
    object_box: Box


@dataclass(frozen=True)
class ClusterParts:
    """The boxes of one cluster; shares in [0, 1]."""

    cluster: int
    boxes: int
    holds: dict[str, float]
    """Keypoint -> share of the boxes that hold it, among those of pictures in which it is visible."""
    best: str | None
    """The keypoint that the consistency is about; None where no keypoint is visible."""
    consistency: float | None
    relative_area: float
    """Mean area of the boxes relative to the object's box; parts may stand out of it."""


@dataclass(frozen=True)
class PartsReport:
    """The clusters as assigned and, for comparison, as shuffled."""

    pictures: int
    keypoints: tuple[str, ...]
    clusters: tuple[ClusterParts, ...]
    consistency: float | None
    """Mean of the clusters'."""
    shuffled: tuple[ClusterParts, ...]
    """One shuffle of the cluster numbers over all parts."""
    shuffled_consistency: float | None
    """Mean of 50 shuffles."""

    def to_dict(self) -> dict[str, Any]:
        """The record as dictionaries, lists, strings and numbers."""
        return asdict(self)


@dataclass(frozen=True)
class _Table:
    """All parts of all pictures, one a row."""

    names: tuple[str, ...]
    held: Float[ndarray, "parts keypoints"]
    """1 held, 0 not, NaN where the keypoint is not visible."""
    chance: Float[ndarray, "parts"]
    relative_area: Float[ndarray, "parts"]


def evaluate_parts(pictures: Sequence[PictureParts], seed: int = 0, shuffles: int = SHUFFLES) -> PartsReport:
    """All figures of a test set's parts. Raises ValueError when there is no part at all."""
    table = _tabulate(pictures)
    if not len(table.held):
        raise ValueError("no parts to evaluate")
    assigned = np.concatenate([picture.clusters for picture in pictures])
    clusters = _summarise(table, assigned)
    rng = np.random.default_rng(seed)
    shuffled = [_summarise(table, rng.permutation(assigned)) for _ in range(shuffles)]
    return PartsReport(
        pictures=len(pictures),
        keypoints=table.names,
        clusters=clusters,
        consistency=_mean_consistency(clusters),
        shuffled=shuffled[0],
        shuffled_consistency=_mean_consistency([cluster for shuffle in shuffled for cluster in shuffle]),
    )


def holds(boxes: Int[ndarray, "parts 4"], x: float, y: float) -> Bool[ndarray, "parts"]:
    """Which half-open boxes hold a point."""
    return (boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3])


def _tabulate(pictures: Sequence[PictureParts]) -> _Table:
    names = tuple(sorted({name for picture in pictures for name, _, _ in picture.keypoints}))
    held, chance, relative = [np.empty((0, len(names)))], [np.empty(0)], [np.empty(0)]
    for picture in pictures:
        rows = np.full((len(picture.boxes), len(names)), np.nan)
        for name, x, y in picture.keypoints:
            rows[:, names.index(name)] = holds(picture.boxes, x, y)
        whole = np.array([picture.object_box])
        size = max(float(geometry.area(whole)[0]), 1.0)
        held.append(rows)
        chance.append(geometry.intersection(picture.boxes, whole)[:, 0] / size)
        relative.append(geometry.area(picture.boxes) / size)
    return _Table(names, np.concatenate(held), np.concatenate(chance), np.concatenate(relative))


def _summarise(table: _Table, assigned: Int[ndarray, "parts"]) -> tuple[ClusterParts, ...]:
    return tuple(_cluster(table, int(cluster), assigned == cluster) for cluster in np.unique(assigned))


def _cluster(table: _Table, cluster: int, members: ndarray) -> ClusterParts:
    held, visible = table.held[members], ~np.isnan(table.held[members])
    count = visible.sum(0)
    share = np.where(visible, held, 0).sum(0) / np.maximum(count, 1)
    chance = (visible * table.chance[members][:, None]).sum(0) / np.maximum(count, 1)
    excess = np.where(count >= max(ENOUGH * len(held), 1), share - chance, -np.inf)
    best = int(excess.argmax()) if np.isfinite(excess).any() else None
    return ClusterParts(
        cluster=cluster,
        boxes=len(held),
        holds={name: float(share[k]) for k, name in enumerate(table.names) if count[k]},
        best=None if best is None else table.names[best],
        consistency=None if best is None else float(excess[best]),
        relative_area=float(table.relative_area[members].mean()),
    )


def _mean_consistency(clusters: Sequence[ClusterParts]) -> float | None:
    known = [cluster.consistency for cluster in clusters if cluster.consistency is not None]
    return float(np.mean(known)) if known else None
