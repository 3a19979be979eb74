"""The results of `wingbar evaluate`, the guide's only source about test pictures."""

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


@dataclass(frozen=True)
class Mistake:
    """A test picture with a wrong prediction."""

    key: str
    label: int
    predicted: int
    score: float


@dataclass(frozen=True, eq=False)
class EvaluationResults:
    """An `evaluation.json`, as far as the guide shows it."""

    record: dict[str, Any]
    confused: Int[ndarray, "true named"]
    mistakes: tuple[Mistake, ...]
    """The surest first."""
    complete: bool
    """False for an evaluation of an older version, which kept no pictures: then only the 20 most confused pairs
    are known."""

    def mark(self, cluster: int) -> tuple[str, float] | None:
        """The keypoint that a cluster's parts hold most often, and in which share of the test pictures."""
        for row in (self.record.get("parts") or {}).get("clusters", ()):
            if row["cluster"] == cluster and row["best"]:
                return row["best"], row["holds"][row["best"]]
        return None


def read_evaluation(run: Path, card: Card) -> EvaluationResults | None:
    """The evaluation of the run's model; None if it was never evaluated.

    Raises RunError for a file that no evaluation wrote, or that is damaged, or judges another model.
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
    return EvaluationResults(record, table, tuple(wrong), True)


def find_pictures(results: EvaluationResults | None, training: Dataset) -> dict[str, Path]:
    """Where the evaluated test pictures lie, by key; none where their data set has gone.

    A key is looked up among the data set's own pictures, never joined to a path.
    """
    source = results.record.get("source") if results and results.mistakes else None
    if source is None:
        return {}
    try:
        dataset = training if source == str(training.source) else load_data(source)
    except DataError:
        return {}
    return {sample.key: sample.path for sample in dataset.split("test")}
