"""Predictions for training pictures: a limited number of each class, stored class by class.

Only the recogniser's boxes and scores are used, never annotated boxes. The predictions for a class are stored in the
guide's cache, under a key that depends on the model and the pictures. The next guide reads them, and a crash loses one
class at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from wingbar.data.sample import Dataset, Sample
from wingbar.model.card import TrainedOn
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer
from wingbar.steps.reporting import Reporter
from wingbar.steps.store import StepResult, Store

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassPredictions(StepResult):
    """The predictions for the readable pictures of one class; ``classes`` are in the recogniser's order."""

    read: Int32[ndarray, "n"]
    """Indices of the readable pictures among all pictures of the class."""
    scores: Float32[ndarray, "n classes"]
    """Fused probabilities."""
    logits: Float32[ndarray, "n classes"]
    """ClassNet's logits without the bias."""
    sizes: Int32[ndarray, "n 2"]
    """(width, height) of each picture."""
    objects: Int32[ndarray, "n 4"]
    parts: Int32[ndarray, "parts 4"]
    """Boxes of all parts of all pictures."""
    owners: Int32[ndarray, "parts"]
    """The index of the picture that each part belongs to."""
    clusters: Int32[ndarray, "parts"]
    part_scores: Float32[ndarray, "parts classes"]


@dataclass(frozen=True, eq=False)
class ClassExamples:
    """Training pictures of one class and their predictions."""

    samples: tuple[Sample, ...]
    """The readable pictures, in the order of the predictions."""
    predictions: ClassPredictions


def predict_examples(
    recognizer: Recognizer, dataset: Dataset, store: Store, reporter: Reporter, *, per_class: int, batch_size: int
) -> list[ClassExamples]:
    """Predict at most ``per_class`` training pictures of each class; returns a result for each class, in their order.

    The predictions are read from ``store`` if it has them, and kept there otherwise. ``batch_size`` counts pictures.
    """
    training = dataset.split("train")
    chosen = [evenly([s for s in training if s.label == label], per_class) for label in range(len(dataset.classes))]
    count = sum(map(len, chosen))
    reporter.say(f"predicting {count} of {len(training)} training pictures; earlier predictions are reused")
    model = replace(recognizer.card, data=TrainedOn("", "")).digest()

    def predicted(label: int, samples: Sequence[Sample]) -> ClassExamples:
        def compute() -> ClassPredictions:
            paths = [sample.path for sample in samples]
            return tabulated(list(recognizer.predict_many(paths, batch_size)), recognizer.classes)

        key = [model, replace(dataset, samples=tuple(samples)).fingerprint()]
        predictions = store.step(f"class-{label + 1:04d}", ClassPredictions, key, [], compute)
        return ClassExamples(tuple(samples[place] for place in predictions.read), predictions)

    return list(reporter.watched((predicted(label, samples) for label, samples in enumerate(chosen)), len(chosen)))


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` items at even distances, so that all stretches of a sorted list are represented."""
    places = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[place] for place in places]


def tabulated(predictions: Sequence[Prediction], classes: Sequence[str]) -> ClassPredictions:
    """Convert predictions to arrays, without those of unreadable pictures."""
    good = [(place, prediction) for place, prediction in enumerate(predictions) if prediction.error is None]
    parts = [(owner, part) for owner, (_, prediction) in enumerate(good) for part in prediction.parts]

    def table(rows: list[dict[str, float]]) -> ndarray:
        return np.array([[row[name] for name in classes] for row in rows], np.float32).reshape(-1, len(classes))

    return ClassPredictions(
        read=np.array([place for place, _ in good], np.int32),
        scores=table([prediction.scores for _, prediction in good]),
        logits=np.array([p.evidence.mean((1, 2)) for _, p in good], np.float32).reshape(-1, len(classes)),
        sizes=np.array([prediction.size for _, prediction in good], np.int32).reshape(-1, 2),
        objects=np.array([prediction.object_box for _, prediction in good], np.int32).reshape(-1, 4),
        parts=np.array([part.box for _, part in parts], np.int32).reshape(-1, 4),
        owners=np.array([owner for owner, _ in parts], np.int32),
        clusters=np.array([part.cluster for _, part in parts], np.int32),
        part_scores=table([part.scores for _, part in parts]),
    )
