"""The results of `wingbar evaluate`: the guide takes all statements about test pictures from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from wingbar._system.files import read_record
from wingbar.data import load as load_data
from wingbar.data.sample import Dataset
from wingbar.errors import DataError, RunError
from wingbar.guide.choosing import confusion
from wingbar.model.card import Card

POINTS = 100
"""Of a curve, at most."""


@dataclass(frozen=True)
class Mistake:
    """A test picture that was classified wrongly, with the score of the predicted class."""

    key: str
    label: int
    predicted: int
    score: float


@dataclass(frozen=True, eq=False)
class EvaluationResults:
    """The content of an `evaluation.json` that the guide shows."""

    record: dict[str, Any]
    confused: Int[ndarray, "true named"]
    mistakes: tuple[Mistake, ...]
    """Ordered by score, the most confident first."""
    complete: bool
    """False for an evaluation of an older version, which does not list pictures: it only gives the 20 most confused
    pairs."""

    @property
    def reliability(self) -> list[tuple[float, float, int]]:
        """Mean score, share right and number of pictures of each bin of scores, the least sure first."""
        bins = (self.record.get("calibration") or {}).get("reliability", ())
        return [(float(score), float(right), int(count)) for score, right, count in bins]

    @property
    def risk(self) -> list[tuple[float, float]]:
        """Share of the pictures that are answered, the surest first, and the share of those that is named wrongly.

        At most `POINTS` of them, evenly spaced; none for an evaluation of an older version.
        """
        rows = sorted(self.record.get("pictures", ()), key=lambda row: -float(row["score"]))
        wrong = np.cumsum([row["label"] != row["predicted"] for row in rows])
        places = np.unique(np.linspace(0, max(len(rows) - 1, 0), min(len(rows), POINTS)).round().astype(int))
        return [(float(place + 1) / len(rows), float(wrong[place] / (place + 1))) for place in places]

    def mark(self, cluster: int) -> tuple[str, float] | None:
        """The keypoint that the cluster's parts contain most often, and the share of test pictures where they do."""
        for row in (self.record.get("parts") or {}).get("clusters", ()):
            if row["cluster"] == cluster and row["best"]:
                return row["best"], row["holds"][row["best"]]
        return None


def read_evaluation(run: Path, card: Card) -> EvaluationResults | None:
    """Read the evaluation of a run's model; returns None if the model was never evaluated.

    Raises RunError if the file is damaged, was not written by an evaluation, or is about another model.
    """
    path = run / "evaluation.json"
    try:
        record = read_record(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}); run `wingbar evaluate` again.") from None
    if record.get("model", card.digest()) != card.digest():
        raise RunError(f"{path}: judges another model than this run's; run `wingbar evaluate` again.")
    try:
        return _results(record, card.classes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: lacks or misstates {error}; run `wingbar evaluate` again.") from None


def _results(record: Any, classes: tuple[str, ...]) -> EvaluationResults:
    number = {name: label for label, name in enumerate(classes)}
    if tuple(row["name"] for row in record["classification"]["per_class"]) != classes:
        raise ValueError("the model's classes")
    if "pictures" not in record:
        table = np.zeros((len(classes), len(classes)), np.int64)
        for pair in record["classification"]["confused"]:
            a, b = number[pair["first"]], number[pair["second"]]
            table[a, b], table[b, a] = pair["first_as_second"], pair["second_as_first"]
        return EvaluationResults(record, table, (), False)
    named = [
        Mistake(str(row["key"]), number[row["label"]], number[row["predicted"]], float(row["score"]))
        for row in record["pictures"]
    ]
    table = confusion([picture.label for picture in named], [picture.predicted for picture in named], len(classes))
    wrong = sorted((p for p in named if p.label != p.predicted), key=lambda p: (-p.score, p.key))
    results = EvaluationResults(record, table, tuple(wrong), True)
    _ = results.reliability, results.risk  # whether they can be read
    return results


def find_pictures(results: EvaluationResults | None, training: Dataset) -> dict[str, Path]:
    """The paths of the evaluated test pictures by their keys; empty if their data set is no longer there.

    Keys are looked up among the pictures of the data set. They are never joined to a path, because they come from a
    file that others may have written.
    """
    source = results.record.get("source") if results and results.mistakes else None
    if source is None:
        return {}
    try:
        dataset = training if source == str(training.source) else load_data(source)
    except DataError:
        return {}
    return {sample.key: sample.path for sample in dataset.split("test")}
