"""The order in which pictures are worth a look: first those that doubtful pictures look like, and each unlike the last.

    next = argmax_j  sum_i u_i max(0, s_ij - max_{k known} s_ik),      u_i = 1 - (p_first - p_second)

u is the margin's complement (Scheffer, Decomain, Wrobel, "Active hidden Markov models for information extraction", IDA
2001). s is the cosine of two pictures' features without their mean, nothing below 0, and known are the labelled
pictures and those before in the order: facility location (Wei, Iyer, Bilmes, "Submodularity in data subset selection
and active learning", ICML 2015), each picture counting by its doubt. Doubt alone asks for ten frames of one bird, and
distance alone for what looks like nothing else.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

FIRST = 500
"""Pictures that are ordered so; those after them by doubt alone."""
MOST = 4000
"""Pictures, the most doubtful ones, that these are chosen among: memory grows with their square."""


def doubt(scores: dict[str, float]) -> float:
    """u of a picture, in [0, 1]; 1 where there is a tie, 0 where nothing but one class comes into question."""
    first, second = sorted(scores.values(), reverse=True)[:2] if len(scores) > 1 else (1.0, 0.0)
    return float(np.clip(1 - (first - second), 0, 1))


def order_of_worth(
    doubts: Float[ndarray, "n"],
    features: Float32[ndarray, "n channels"],
    labelled: Float32[ndarray, "m channels"],
    first: int = FIRST,
) -> list[int]:
    """The pictures' places, those most worth a look first. ``features`` and those of ``labelled`` are of length one."""
    if len(doubts) == 0:
        return []
    by_doubt = np.argsort(-doubts, kind="stable")
    some = by_doubt[:MOST]
    middle = np.concatenate([features, labelled]).mean(0)
    near, weights = _centred(features[some], middle), doubts[some] + 1e-6
    alike = np.maximum(near @ near.T, 0)
    covered = np.maximum(near @ _centred(labelled, middle).T, 0).max(1, initial=0)
    chosen: list[int] = []
    for _ in range(min(first, len(some))):
        worth = weights @ np.maximum(alike - covered[:, None], 0)
        worth[chosen] = -1
        chosen.append(int(worth.argmax()))
        covered = np.maximum(covered, alike[:, chosen[-1]])
    leading = some[chosen]
    return [*leading.tolist(), *by_doubt[~np.isin(by_doubt, leading)].tolist()]


def _centred(
    features: Float32[ndarray, "n channels"], middle: Float32[ndarray, "channels"]
) -> Float32[ndarray, "n channels"]:
    """The directions of features from their middle."""
    moved = features - middle
    return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-6)
