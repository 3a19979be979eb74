"""What `wingbar evaluate` found: the guide's only source about test pictures."""

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
    """A test picture that was called what it is not."""

    key: str
    label: int
    predicted: int
    score: float


@dataclass(frozen=True, eq=False)
class Judged:
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
        for own in (self.record.get("parts") or {}).get("clusters", ()):
            if own["cluster"] == cluster and own["best"]:
                return own["best"], own["holds"][own["best"]]
        return None


def read_evaluation(run: Path, card: Card) -> Judged | None:
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
        return _judged(record, card.classes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: lacks or misstates {error}; run `wingbar evaluate` again.") from None


def _judged(record: Any, classes: tuple[str, ...]) -> Judged:
    number = {name: label for label, name in enumerate(classes)}
    if tuple(own["name"] for own in record["classification"]["per_class"]) != classes:
        raise ValueError("the model's classes")
    if "pictures" not in record:
        table = np.zeros((len(classes), len(classes)), np.int64)
        for pair in record["classification"]["confused"]:
            a, b = number[pair["first"]], number[pair["second"]]
            table[a, b], table[b, a] = pair["first_as_second"], pair["second_as_first"]
        return Judged(record, table, (), False)
    named = [
        Mistake(str(own["key"]), number[own["label"]], number[own["predicted"]], float(own["score"]))
        for own in record["pictures"]
    ]
    table = confusion([own.label for own in named], [own.predicted for own in named], len(classes))
    wrong = sorted((own for own in named if own.label != own.predicted), key=lambda own: (-own.score, own.key))
    return Judged(record, table, tuple(wrong), True)


def find_pictures(judged: Judged | None, training: Dataset) -> dict[str, Path]:
    """Where the judged test pictures lie, by key; none where their data set has gone.

    A key is looked up among the data set's own pictures, never joined to a path.
    """
    source = judged.record.get("source") if judged and judged.mistakes else None
    if source is None:
        return {}
    try:
        dataset = training if source == str(training.source) else load_data(source)
    except DataError:
        return {}
    return {sample.key: sample.path for sample in dataset.split("test")}
