"""What the recogniser says of training pictures: a bounded number of each class, kept class by class.

Only the recogniser's own boxes and scores are used, never an annotated box. What is said of a class is kept in
``RUN/guide-cache`` under a key of the model and the pictures: the next guide reads it, and a crash loses one class.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from wingbar.data.sample import Dataset, Sample
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer
from wingbar.reporting import Reporter
from wingbar.store import Result, Store

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Looked:
    """The readable pictures of one class, as the recogniser sees them; ``classes`` in its order."""

    samples: tuple[Sample, ...]
    scores: Float32[ndarray, "n classes"]
    """Fused probabilities."""
    logits: Float32[ndarray, "n classes"]
    """ClassNet's, without bias."""
    sizes: Int32[ndarray, "n 2"]
    """(width, height) of each picture."""
    objects: Int32[ndarray, "n 4"]
    parts: Int32[ndarray, "parts 4"]
    """Boxes of all parts of all pictures."""
    owners: Int32[ndarray, "parts"]
    """Which picture each part is of."""
    clusters: Int32[ndarray, "parts"]
    part_scores: Float32[ndarray, "parts classes"]


def look_at_classes(
    recognizer: Recognizer, dataset: Dataset, store: Store, reporter: Reporter, *, per_class: int, batch_size: int
) -> list[Looked]:
    """At most ``per_class`` training pictures of each class, in the order of the classes."""
    training = dataset.split("train")
    chosen = [evenly([s for s in training if s.label == label], per_class) for label in range(len(dataset.classes))]
    left, started, told = sum(map(len, chosen)), time.monotonic(), False
    reporter.say(f"looking at {left} of {len(training)} training pictures; what is known already is not done again")
    looked = []
    for label, samples in enumerate(chosen):
        content = replace(dataset, samples=tuple(samples)).fingerprint()
        made: list[int] = []

        def compute(samples: Sequence[Sample] = samples, made: list[int] = made) -> Result:
            made.append(len(samples))
            predictions = list(recognizer.predict_many([sample.path for sample in samples], batch_size))
            return packed(predictions, recognizer.classes)

        begun = time.monotonic()
        result = store.step(f"class-{label + 1:04d}", [recognizer.card["sha256"], content], [], compute)
        left -= len(samples)
        if made and not told and left:
            minutes = left * (time.monotonic() - begun) / max(len(samples), 1) / 60
            reporter.say(f"  about {max(minutes, 0.1):.1f} min for the other {left} pictures")
            told = True
        looked.append(unpacked(result, samples))
    if told:
        reporter.say(f"  {time.monotonic() - started:.0f} s")
    return looked


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` items, evenly spaced over all: every kind in a sorted list has its share."""
    places = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[place] for place in places]


def packed(predictions: Sequence[Prediction], classes: Sequence[str]) -> Result:
    """Predictions as arrays; ``read`` are the places of the readable ones."""
    good = [(place, prediction) for place, prediction in enumerate(predictions) if prediction.error is None]
    parts = [(owner, part) for owner, (_, prediction) in enumerate(good) for part in prediction.parts]

    def table(rows: list[dict[str, float]]) -> ndarray:
        return np.array([[row[name] for name in classes] for row in rows], np.float32).reshape(-1, len(classes))

    return Result(
        {
            "read": np.array([place for place, _ in good], np.int32),
            "scores": table([prediction.scores for _, prediction in good]),
            "logits": np.array([p.evidence.mean((1, 2)) for _, p in good], np.float32).reshape(-1, len(classes)),
            "sizes": np.array([prediction.size for _, prediction in good], np.int32).reshape(-1, 2),
            "objects": np.array([prediction.object_box for _, prediction in good], np.int32).reshape(-1, 4),
            "parts": np.array([part.box for _, part in parts], np.int32).reshape(-1, 4),
            "owners": np.array([owner for owner, _ in parts], np.int32),
            "clusters": np.array([part.cluster for _, part in parts], np.int32),
            "part_scores": table([part.scores for _, part in parts]),
        }
    )


def unpacked(result: Result, samples: Sequence[Sample]) -> Looked:
    """The reverse of `packed`, with the pictures beside."""
    arrays = dict(result.arrays)
    return Looked(tuple(samples[place] for place in arrays.pop("read")), **arrays)
