"""What the recogniser says of training pictures: a bounded number of each class, kept class by class.

Only the recogniser's own boxes and scores are used, never an annotated box. What is said of a class is kept in
``RUN/guide-cache`` under a key of the model and the pictures: the next guide reads it, and a crash loses one class.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
class Answers(StepResult):
    """What the recogniser says of the pictures of one class that it could read; ``classes`` in its order."""

    read: Int32[ndarray, "n"]
    """Their places among the pictures that it was given."""
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


@dataclass(frozen=True, eq=False)
class Examples:
    """Training pictures of one class, and what the recogniser says of them."""

    samples: tuple[Sample, ...]
    """The readable ones, in the order of the answers."""
    answers: Answers


def look_at_classes(
    recognizer: Recognizer, dataset: Dataset, store: Store, reporter: Reporter, *, per_class: int, batch_size: int
) -> list[Examples]:
    """At most ``per_class`` training pictures of each class, in the order of the classes."""
    training = dataset.split("train")
    chosen = [evenly([s for s in training if s.label == label], per_class) for label in range(len(dataset.classes))]
    clock = Clock(sum(map(len, chosen)), reporter)
    reporter.say(f"looking at {clock.left} of {len(training)} training pictures; what is known already is kept")
    model = replace(recognizer.card, data=TrainedOn("", "")).digest()
    examples = []
    for label, samples in enumerate(chosen):
        content = replace(dataset, samples=tuple(samples)).fingerprint()

        def compute(samples: Sequence[Sample] = samples) -> Answers:
            with clock.timed(len(samples)):
                paths = [sample.path for sample in samples]
                return answers_of(list(recognizer.predict_many(paths, batch_size)), recognizer.classes)

        answers = store.step(f"class-{label + 1:04d}", Answers, [model, content], [], compute)
        clock.passed(len(samples))
        examples.append(Examples(tuple(samples[place] for place in answers.read), answers))
    return examples


class Clock:
    """Tells how long the pictures that are left will take: after the first class, then once a minute."""

    def __init__(self, left: int, reporter: Reporter) -> None:
        self.left, self.reporter = left, reporter
        self.seconds, self.pictures, self.told_at = 0.0, 0, -60.0

    @contextmanager
    def timed(self, pictures: int) -> Iterator[None]:
        """Measure how long these pictures take."""
        begun = time.monotonic()
        yield
        self.seconds += time.monotonic() - begun
        self.pictures += pictures

    def passed(self, pictures: int) -> None:
        """These pictures are done, or were known."""
        self.left -= pictures
        if self.pictures and self.left and self.seconds - self.told_at >= 60:
            minutes = self.left * self.seconds / self.pictures / 60
            self.reporter.say(f"  about {max(minutes, 0.1):.1f} min for the other {self.left} pictures")
            self.told_at = self.seconds


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` items, evenly spaced over all: every kind in a sorted list has its share."""
    places = np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))
    return [items[place] for place in places]


def answers_of(predictions: Sequence[Prediction], classes: Sequence[str]) -> Answers:
    """Predictions as arrays, those of unreadable pictures left out."""
    good = [(place, prediction) for place, prediction in enumerate(predictions) if prediction.error is None]
    parts = [(owner, part) for owner, (_, prediction) in enumerate(good) for part in prediction.parts]

    def table(rows: list[dict[str, float]]) -> ndarray:
        return np.array([[row[name] for name in classes] for row in rows], np.float32).reshape(-1, len(classes))

    return Answers(
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
