"""Why this class and not that one: the difference of what the nets say of the two.

With M_c the evidence map of class c (its mean over the places is c's logit without its bias), M_a - M_b says where the
picture speaks for a (above zero) or for b (below). A part's or a stream's vote is p(a) - p(b), by that part or stream
alone, in [-1, 1]. The fused score is the streams' weighted sum, so its difference is the weighted sum of their votes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from wingbar.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Contrast:
    """One class against another, on one picture."""

    first: str
    second: str
    evidence: Float32[ndarray, "h w"]
    """What speaks for the first (above zero) or the second, in logits, at the net's resolution."""
    parts: tuple[float, ...]
    """Vote of each part, in the prediction's order."""
    streams: dict[str, float]
    """Vote of each stream."""
    fused: float
    """Vote of all streams together."""


def contrast(prediction: Prediction) -> Contrast:
    """The best class against the next. Raises PictureError for a picture that could not be read."""
    first, second = prediction.label, list(prediction.scores)[1]
    classes = list(prediction.streams["picture"])
    return Contrast(
        first,
        second,
        prediction.evidence[classes.index(first)] - prediction.evidence[classes.index(second)],
        tuple(vote(part.scores, first, second) for part in prediction.parts),
        {name: vote(scores, first, second) for name, scores in prediction.streams.items()},
        vote(prediction.scores, first, second),
    )


def vote(scores: Mapping[str, float], first: str, second: str) -> float:
    """p(first) - p(second), in [-1, 1]."""
    return scores[first] - scores[second]


def part_names(clusters: list[int]) -> list[str]:
    """``1`` for the part of cluster 0, the same number in every picture; ``1a``, ``1b`` where several share one."""
    names = []
    for position, cluster in enumerate(clusters):
        shared = clusters.count(cluster) > 1
        letter = chr(ord("a") + clusters[:position].count(cluster)) if shared else ""
        names.append(f"{cluster + 1}{letter}")
    return names


def peaks(evidence: Float32[ndarray, "h w"]) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """(x, y) in [0, 1] where most speaks for the first class, and for the second; None where nothing does."""

    def centre(flat: int) -> tuple[float, float]:
        row, column = np.unravel_index(flat, evidence.shape)
        return (float(column) + 0.5) / evidence.shape[1], (float(row) + 0.5) / evidence.shape[0]

    first = centre(int(evidence.argmax())) if evidence.max() > 0 else None
    second = centre(int(evidence.argmin())) if evidence.min() < 0 else None
    return first, second
