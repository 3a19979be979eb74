"""The order in which pictures are worth a look: doubtful ones first, and each unlike those before it.

    next = argmax_i  u_i * min_{j chosen} (1 - cos(f_i, f_j)),      u_i = 1 - (p_first - p_second)

u is the margin's complement (Scheffer, Decomain, Wrobel, "Active hidden Markov models for information extraction", IDA
2001), the distance that of the k-centre rule (Gonzalez, Theoretical Computer Science 38, 1985; Sener, Savarese, "Active
learning for convolutional neural networks: a core-set approach", ICLR 2018). Doubt alone asks for ten
frames of one bird.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

FIRST = 500
"""Pictures that are ordered by doubt and distance; those after them by doubt alone."""


def doubt(scores: dict[str, float]) -> float:
    """u of a picture, in [0, 1]; 1 where there is a tie, 0 where nothing but one class comes into question."""
    first, second = sorted(scores.values(), reverse=True)[:2] if len(scores) > 1 else (1.0, 0.0)
    return float(np.clip(1 - (first - second), 0, 1))


def order_of_worth(
    doubts: Float[ndarray, "n"], features: Float32[ndarray, "n channels"], first: int = FIRST
) -> list[int]:
    """The pictures' places, those most worth a look first. ``features`` are of length one."""
    nearest = np.ones(len(doubts))
    left = np.ones(len(doubts), bool)
    chosen: list[int] = []
    for _ in range(min(first, len(doubts))):
        worth = np.where(left, (doubts + 1e-6) * (nearest + 1e-6), -1.0)
        one = int(worth.argmax())
        chosen.append(one)
        left[one] = False
        nearest = np.minimum(nearest, np.maximum(1 - features @ features[one], 0))
    rest = np.flatnonzero(left)
    return chosen + rest[np.argsort(-doubts[rest], kind="stable")].tolist()
