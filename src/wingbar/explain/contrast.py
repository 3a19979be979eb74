"""The contrast of two classes: the difference between the nets' outputs for class a and for class b.

M_c is the evidence map of class c; its mean over all places is the logit of c without the bias. M_a - M_b is positive
where the picture speaks for a, and negative where it speaks for b. The mean of M_a - M_b plus the difference of the two
biases, which is the same for all pictures, is the difference of the two logits.

The vote of a part or a stream is p(a) - p(b), in [-1, 1], where p are the probabilities by that part or stream alone.
The fused score is a weighted sum over the streams, so the fused vote is the weighted sum of the streams' votes.
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
"""The least probability that a logarithm is taken of, for those that are too small for a float."""


@dataclass(frozen=True, eq=False)
class Contrast:
    """The contrast of two classes in one picture."""

    first: str
    second: str
    evidence: Float32[ndarray, "h w"]
    """M_first - M_second, in logits, at the resolution of the net's map."""
    leaning: float
    """The difference of the two biases of the whole picture's net, in logits; it does not depend on the picture."""
    parts: tuple[float, ...]
    """The vote of each part, in the prediction's order."""
    streams: dict[str, float]
    """The vote of each stream."""
    fused: float
    """The vote of the fused score."""


def contrast(prediction: wingbar.prediction.Prediction) -> Contrast:
    """Compare the best class of a prediction with the second. Raises PictureError if the picture could not be read."""
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
    """log p(first) - log p(second), which is the difference of the two logits, where ``scores`` are a softmax."""
    return math.log(max(scores[first], LEAST)) - math.log(max(scores[second], LEAST))


def extremes(
    evidence: Float32[ndarray, "h w"],
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """The places of the map's maximum and minimum, as (x, y) in [0, 1] of the picture's width and height.

    None for a maximum that is not positive, and for a minimum that is not negative.
    """

    def centre(flat: int) -> tuple[float, float]:
        row, column = np.unravel_index(flat, evidence.shape)
        return (float(column) + 0.5) / evidence.shape[1], (float(row) + 0.5) / evidence.shape[0]

    first = centre(int(evidence.argmax())) if evidence.max() > 0 else None
    second = centre(int(evidence.argmin())) if evidence.min() < 0 else None
    return first, second
