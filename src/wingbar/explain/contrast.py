"""Why this class and not that one: the difference of what the nets say of the two.

With M_c the evidence map of class c (its mean over the places is c's logit without its bias), M_a - M_b says where the
picture speaks for a (above zero) or for b (below). Its mean and the difference of the two biases, which hold for every
picture, are together the difference of logits. A part's or a stream's vote is p(a) - p(b), by that part or stream
alone, in [-1, 1]. The fused score is the streams' weighted sum, so its difference is the weighted sum of their votes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

if TYPE_CHECKING:
    import wingbar.prediction


LEAST = 1e-37
"""Stands for a probability too small for a float."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """One class against another, on one picture."""

    first: str
    second: str
    evidence: Float32[ndarray, "h w"]
    """What speaks for the first (above zero) or the second, in logits, at the net's resolution."""
    leaning: float
    """What the picture's net adds for the first whatever it is shown, in logits: the difference of the two biases."""
    parts: tuple[float, ...]
    """Vote of each part, in the prediction's order."""
    streams: dict[str, float]
    """Vote of each stream."""
    fused: float
    """Vote of all streams together."""


def contrast(prediction: wingbar.prediction.Prediction) -> Contrast:
    """The best class against the next. Raises PictureError for a picture that could not be read."""
    first, second = prediction.label, list(prediction.scores)[1]
    classes = list(prediction.streams["picture"])
    evidence = prediction.evidence[classes.index(first)] - prediction.evidence[classes.index(second)]
    return Contrast(
        first,
        second,
        evidence,
        log_odds(prediction.streams["picture"], first, second) - float(evidence.mean()),
        tuple(vote(part.scores, first, second) for part in prediction.parts),
        {name: vote(scores, first, second) for name, scores in prediction.streams.items()},
        vote(prediction.scores, first, second),
    )


def vote(scores: Mapping[str, float], first: str, second: str) -> float:
    """p(first) - p(second), in [-1, 1]."""
    return scores[first] - scores[second]


def log_odds(scores: Mapping[str, float], first: str, second: str) -> float:
    """log p(first) - log p(second): the difference of the logits that a softmax made ``scores`` from."""
    return math.log(max(scores[first], LEAST)) - math.log(max(scores[second], LEAST))


def peaks(evidence: Float32[ndarray, "h w"]) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """(x, y) in [0, 1] where most speaks for the first class, and for the second; None where nothing does."""

    def centre(flat: int) -> tuple[float, float]:
        row, column = np.unravel_index(flat, evidence.shape)
        return (float(column) + 0.5) / evidence.shape[1], (float(row) + 0.5) / evidence.shape[0]

    first = centre(int(evidence.argmax())) if evidence.max() > 0 else None
    second = centre(int(evidence.argmin())) if evidence.min() < 0 else None
    return first, second
