"""How well pictures of unknown classes are told: see `opam.strangers`.

* AUROC: how often a known picture has a larger `Prediction.known` than a stranger (ties count half).
* FPR at 95 % TPR: the share of strangers that pass where 95 % of the known pictures do.
* OSCR: how often a known picture is named rightly and has a larger `known` than a stranger: the area under the curve of
  Dhamija, Günther, Boult (NeurIPS 2018).

Each is given for the largest probability as well, the usual stand-in.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from scipy.stats import rankdata

from wingbar.evaluation.bootstrap import Estimate, interval_of, mean_interval

RESAMPLES = 500


@dataclass(frozen=True)
class OpenSetFigures:
    """How well one number tells known pictures from strangers; all in [0, 1]."""

    auroc: Estimate
    fpr95: float
    oscr: float


@dataclass(frozen=True)
class StrangersReport:
    """Whether known pictures are taken for known, and strangers for strangers."""

    refused: Estimate
    """Share of the pictures of known classes that are taken for strangers."""
    pictures: int
    """Strangers shown: pictures of classes that the model does not know."""
    caught: Estimate | None
    """Share of the strangers that are taken for strangers; None without strangers, as what follows."""
    known: OpenSetFigures | None
    """By `Prediction.known`."""
    score: OpenSetFigures | None
    """By the largest probability."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)


def strangers_report(
    known: tuple[Float[ndarray, "n"], Float[ndarray, "m"]],
    scores: tuple[Float[ndarray, "n"], Float[ndarray, "m"]],
    taken: tuple[Bool[ndarray, "n"], Bool[ndarray, "m"]],
    right: Bool[ndarray, "n"],
    seed: int = 0,
) -> StrangersReport:
    """The figures of n pictures of known classes and of m strangers.

    Of both, in this order: `Prediction.known`, the largest probability, and whether they are taken for strangers.
    ``right`` says which known ones are named rightly. Raises ValueError without known pictures.
    """
    strangers = len(known[1])
    return StrangersReport(
        refused=mean_interval(taken[0], seed),
        pictures=strangers,
        caught=mean_interval(taken[1], seed) if strangers else None,
        known=open_set_figures(*known, right, seed) if strangers else None,
        score=open_set_figures(*scores, right, seed) if strangers else None,
    )


def open_set_figures(
    known: Float[ndarray, "n"], strange: Float[ndarray, "m"], right: Bool[ndarray, "n"], seed: int = 0
) -> OpenSetFigures:
    """How well a number tells n known pictures, for which it is large, from m strangers."""
    both, count = np.concatenate([known, strange]), len(known)

    def area(chosen: ndarray) -> float:
        return auroc(both[chosen[chosen < count]], both[chosen[chosen >= count]])

    wins = auroc(known[right], strange) if right.any() else 0.0
    passed = float((strange >= np.quantile(known, 0.05)).mean())
    return OpenSetFigures(interval_of(area, len(both), seed, RESAMPLES), passed, float(right.mean()) * wins)


def auroc(known: Float[ndarray, "n"], strange: Float[ndarray, "m"]) -> float:
    """How often a value of ``known`` is larger than one of ``strange``, by ranks; one half where either has none."""
    n, m = len(known), len(strange)
    if not n or not m:
        return 0.5
    ranks = rankdata(np.concatenate([known, strange]))[:n].sum()
    return float((ranks - n * (n + 1) / 2) / (n * m))
