"""What every step needs, and the first step: reading the training pictures and cutting off a validation set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from wingbar.boxes import Box
from wingbar.config import Config
from wingbar.data.sample import Sample, Skipped
from wingbar.data.splits import validation_split
from wingbar.errors import DataError, PictureError
from wingbar.images import read_picture
from wingbar.learning.loop import Hardware
from wingbar.reporting import Reporter
from wingbar.store import Result, Store

STREAMS = ("picture", "object", "parts")

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
    """Their fingerprint, sizes and validation split."""
    store: Store
    hardware: Hardware
    reporter: Reporter
    refit: bool = False
    """Train on all pictures, with everything already chosen."""

    @property
    def labels(self) -> Int[ndarray, "n"]:
        """Label of each sample."""
        return np.array([sample.label for sample in self.samples], np.int64)

    @property
    def validation(self) -> Int[ndarray, "v"]:
        """Indices that choices are made on; none in a refit."""
        return self.data.arrays["validation"][:0] if self.refit else self.data.arrays["validation"]

    @property
    def training(self) -> Int[ndarray, "t"]:
        """Indices that nets are trained on."""
        return np.setdiff1d(np.arange(len(self.samples)), self.validation)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of each sample's picture."""
        return [(int(w), int(h)) for w, h in self.data.arrays["sizes"]]

    def step(self, name: str, settings: Any, inputs: Sequence[Result], compute: Callable[[], Result]) -> Result:
        """Announce and keep one step."""
        prefix = "refit-" if self.refit else ""

        def announced() -> Result:
            self.reporter.say(f"{prefix}{name}")
            return compute()

        return self.store.step(prefix + name, settings, [self.data, *inputs], announced)


def inspect(
    samples: Sequence[Sample], config: Config, store: Store, reporter: Reporter
) -> tuple[tuple[Sample, ...], Result, tuple[Skipped, ...]]:
    """Decode every training picture once; the unreadable ones are set aside, counted and named."""
    listing = [(sample.key, sample.label, sample.path.stat().st_size) for sample in samples]

    def compute() -> Result:
        reporter.say(f"reading {len(samples)} training pictures")
        with ThreadPoolExecutor() as pool:
            sizes = list(pool.map(_size_or_reason, samples))
        bad = {sample.key: size for sample, size in zip(samples, sizes, strict=True) if isinstance(size, str)}
        good = [sample for sample in samples if sample.key not in bad]
        counts = np.bincount([sample.label for sample in good], minlength=1 + max(s.label for s in samples))
        for label, count in enumerate(counts):
            if count < 2:
                named = next(s.path.parent.name for s in samples if s.label == label)
                raise DataError(f"class {named!r} has {count} readable training pictures; at least 2 are needed.")
        labels = np.array([sample.label for sample in good])
        _, validation = validation_split(labels, config.validation, config.seed)
        return Result(
            {"sizes": np.array([s for s in sizes if not isinstance(s, str)]), "validation": validation},
            {"bad": bad},
        )

    result = store.step("data", [listing, config.validation, config.seed], [], compute)
    bad = result.info["bad"]
    kept = tuple(sample for sample in samples if sample.key not in bad)
    skipped = tuple(Skipped(sample.path, bad[sample.key]) for sample in samples if sample.key in bad)
    return kept, result, skipped


def _size_or_reason(sample: Sample) -> tuple[int, int] | str:
    try:
        return read_picture(sample.path, short_side=64).size
    except PictureError as error:
        return str(error)
