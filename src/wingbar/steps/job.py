"""What every step needs, and the first step: reading the training pictures and cutting off a validation set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from wingbar.boxes import Box
from wingbar.config import Config
from wingbar.data.sample import Dataset, Sample, Skipped
from wingbar.data.splits import validation_split
from wingbar.errors import DataError, PictureError, PictureNeedsMemory, RunError
from wingbar.images import read_picture
from wingbar.learning.hardware import Hardware
from wingbar.ranks import World
from wingbar.reporting import Reporter
from wingbar.store import Result, Store

Kind = list[list[tuple[Box | None, int]]]
"""For each picture the views of one kind: box (None: the whole) and the cluster whose head judges it (-1: all)."""


@dataclass(frozen=True)
class Job:
    """What every step needs: settings, pictures, where results are kept, who is told."""

    config: Config
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    """The readable training pictures."""
    data: Result
    """Their sizes and validation split, under a key made of their contents and labels."""
    store: Store
    hardware: Hardware
    reporter: Reporter
    refit: bool = False
    """Train on all pictures, with everything already chosen."""

    @property
    def world(self) -> World:
        """The ranks that share the work."""
        return self.hardware.world

    @cached_property
    def labels(self) -> Int[ndarray, "n"]:
        """Label of each sample."""
        return np.array([sample.label for sample in self.samples], np.int64)

    @property
    def validation(self) -> Int[ndarray, "v"]:
        """Indices that choices are made on; none in a refit."""
        return self.data.arrays["validation"][:0] if self.refit else self.data.arrays["validation"]

    @cached_property
    def training(self) -> Int[ndarray, "t"]:
        """Indices that nets are trained on."""
        return np.setdiff1d(np.arange(len(self.samples)), self.validation)

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of each sample's picture."""
        return [(int(w), int(h)) for w, h in self.data.arrays["sizes"]]

    def before_refit(self) -> Job:
        """For steps whose results a refit takes over: no choice and no net trained on the cut bears on them."""
        return dataclasses.replace(self, refit=False)

    def named(self, name: str) -> str:
        """The name under which a step's result is kept: a refit has its own."""
        return f"refit-{name}" if self.refit else name

    def step(self, name: str, settings: Any, inputs: Sequence[Result], compute: Callable[[], Result]) -> Result:
        """Announce and keep one step."""

        def announced() -> Result:
            self.reporter.say(self.named(name))
            return compute()

        return self.store.step(self.named(name), settings, [self.data, *inputs], announced)


def inspect(
    dataset: Dataset, config: Config, store: Store, reporter: Reporter
) -> tuple[tuple[Sample, ...], Result, tuple[Skipped, ...]]:
    """Decode every training picture once; the unreadable ones are set aside, counted and named."""
    samples, world = dataset.split("train"), store.world

    def compute() -> Result:
        reporter.say(f"reading {len(samples)} training pictures")
        sizes = world.map(_size_or_reason, samples, reporter.watched)
        return world.first(lambda: split(sizes))

    def split(sizes: Sequence[tuple[int, int] | str]) -> Result:
        bad = {sample.key: size for sample, size in zip(samples, sizes, strict=True) if isinstance(size, str)}
        good = [sample for sample in samples if sample.key not in bad]
        counts = np.bincount([sample.label for sample in good], minlength=1 + max(s.label for s in samples))
        for label, count in enumerate(counts):
            if count < 2:
                raise DataError(
                    f"class {dataset.classes[label]!r} has {count} readable training pictures; at least 2 are needed."
                )
        labels = np.array([sample.label for sample in good])
        _, validation = validation_split(labels, config.validation, config.seed)
        return Result(
            {"sizes": np.array([s for s in sizes if not isinstance(s, str)]), "validation": validation},
            {"bad": bad},
        )

    result = store.step("data", _cut(dataset, config), [], compute)
    bad = result.info["bad"]
    skipped = tuple(Skipped(sample.path, bad[sample.key]) for sample in samples if sample.key in bad)
    return _readable(samples, result), result, skipped


def held_out(
    dataset: Dataset, config: Config, store: Store, trained_on: str
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """A run's readable training pictures, and those of them that none of its model's nets was trained on.

    ``trained_on`` is the key of the pictures that its model was made from. Raises RunError if these are others, or
    if the run no longer knows them.
    """
    key = store.key("data", _cut(dataset, config), [])
    if key != trained_on:
        raise RunError(f"{store.folder}: was not trained on the pictures of {dataset.root}; give the run that was.")
    result = store.read("data", key)
    if result is None:
        raise RunError(
            f"{store.path('data')}: damaged, or of a training begun since, and not of this run's model; "
            "train again with the model's settings, or take the training to its end."
        )
    kept = _readable(dataset.split("train"), result)
    return kept, () if config.refit else tuple(kept[i] for i in result.arrays["validation"])


def _cut(dataset: Dataset, config: Config) -> list[Any]:
    return [dataset.training_fingerprint(), config.validation, config.seed]


def _readable(samples: Sequence[Sample], result: Result) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if sample.key not in result.info["bad"])


def _size_or_reason(sample: Sample) -> tuple[int, int] | str:
    try:
        return read_picture(sample.path, short_side=64).size
    except PictureNeedsMemory:
        raise  # what is set aside now is set aside for good
    except PictureError as error:
        return str(error)
