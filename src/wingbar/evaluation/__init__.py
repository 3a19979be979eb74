"""Evaluation: figures computed from arrays, as records that can be written as JSON; and of a run on a test split."""

from __future__ import annotations

from wingbar.evaluation.bootstrap import Estimate, error_reduction, mean_interval, paired_difference
from wingbar.evaluation.classification import ClassificationReport, classify, correct, stream_combinations
from wingbar.evaluation.localization import (
    LocalizationReport,
    MaxBoxAcc,
    MaxBoxAccV2,
    best_centre_share,
    localize,
)
from wingbar.evaluation.parts import PartsReport, PictureParts, evaluate_parts

__all__ = [
    "ClassificationReport",
    "Estimate",
    "LocalizationReport",
    "MaxBoxAcc",
    "MaxBoxAccV2",
    "PartsReport",
    "PictureParts",
    "best_centre_share",
    "classify",
    "correct",
    "error_reduction",
    "evaluate_parts",
    "localize",
    "mean_interval",
    "paired_difference",
    "stream_combinations",
]
