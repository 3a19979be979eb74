"""Whether the parts shown tell anything: they are erased in some test pictures, and the model is asked again.

See `wingbar.explain.erasing` for what is erased and how. Figures are means over pictures, a picture's parts averaged
first; the ratio of falls is the ratio of these means. Intervals are bootstrap intervals over pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from wingbar.evaluation.bootstrap import Estimate, mean_interval, ratio_interval
from wingbar.explain.erasing import FILLS, Erasures


@dataclass(frozen=True)
class EvidenceReport:
    """How much the margin of an answer falls when places are erased, in logits."""

    pictures: int
    margin: float
    """Mean margin of the whole pictures."""
    part: Estimate
    """Fall when a part is erased."""
    random: Estimate
    """Fall when a random box of the same size on the object is erased."""
    ratio: Estimate | None
    """The first over the second; None where random boxes cost nothing."""
    whole_object: Estimate
    """Fall when the object is erased."""
    by_fill: dict[str, tuple[float, float]]
    """Fill -> fall of parts, of random boxes."""
    background: Estimate
    """Share of the pictures that are named rightly with the object erased."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)


def evidence_report(erasures: Sequence[Erasures], labels: Sequence[str], seed: int = 0) -> EvidenceReport:
    """The figures of some pictures with parts; ``labels`` are their true classes.

    Raises ValueError without pictures.
    """
    parts, random = _falls(erasures, "parts"), _falls(erasures, "random")
    named = [np.mean([name == label for name in one.background]) for one, label in zip(erasures, labels, strict=True)]
    return EvidenceReport(
        pictures=len(erasures),
        margin=float(np.mean([one.margin for one in erasures])),
        part=mean_interval(parts.mean(1), seed),
        random=mean_interval(random.mean(1), seed),
        ratio=ratio_interval(parts.mean(1), random.mean(1), seed),
        whole_object=mean_interval(np.array([one.object_fall for one in erasures]), seed),
        by_fill={
            fill: (float(parts[:, place].mean()), float(random[:, place].mean())) for place, fill in enumerate(FILLS)
        },
        background=mean_interval(np.array(named), seed),
    )


def _falls(erasures: Sequence[Erasures], what: str) -> Float[ndarray, "pictures fills"]:
    return np.stack([one.margin - getattr(one, what).mean(0) for one in erasures])
