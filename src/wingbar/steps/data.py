"""The first step: reading the training pictures, and cutting a validation set off them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from wingbar.config import Config
from wingbar.data.checks import named
from wingbar.data.duplicates import DIGEST, Small, packed, small_copy
from wingbar.data.occasions import Taken, groups_of, taken
from wingbar.data.sample import Dataset, Sample, Skipped
from wingbar.data.splits import going_on_split, validation_split
from wingbar.errors import DataError, PictureError, PictureNeedsMemory, RunError
from wingbar.images import read_picture
from wingbar.model.card import TrainedOn
from wingbar.model.seen import Seen
from wingbar.steps.reporting import Reporter
from wingbar.steps.store import StepResult, Store

SHOWN = 5
"""Unreadable pictures that an error names."""


DECODED_SIDE = 128
"""Short side at which pictures are decoded: all that a small copy needs."""


@dataclass(frozen=True, eq=False)
class PictureRecord:
    """What is remembered of a picture."""

    size: tuple[int, int]
    small: Small
    digest: bytes
    """The beginning of the file's SHA-256."""
    taken: Taken | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures(StepResult):
    """Sizes of the training pictures and the validation split. The key is a digest of the pictures and their labels."""

    sizes: Int[ndarray, "n 2"]
    """Width and height of each readable picture, in pixels."""
    groups: Int[ndarray, "n"]
    """The occasion of each: see `wingbar.data.occasions`."""
    validation: Int[ndarray, "v"]
    """Indices, among the readable ones, of those that every choice is made on."""
    copies: Mapping[str, UInt8[ndarray, "n bytes"]]
    """What copies of the readable pictures are told by, in no order of theirs: ``bits`` of their look, ``digests``."""
    unreadable: Mapping[str, str]
    """Key of each unreadable sample, and why it cannot be read."""

    def readable(self, samples: Sequence[Sample]) -> tuple[Sample, ...]:
        """Those ``samples`` that can be read."""
        return tuple(sample for sample in samples if sample.key not in self.unreadable)


def data(
    dataset: Dataset, config: Config, store: Store, reporter: Reporter, before: Seen | None = None
) -> tuple[tuple[Sample, ...], Pictures, tuple[Skipped, ...]]:
    """Decode every training picture once, and set the unreadable ones aside, each with the reason.

    ``before`` is what the net has seen that a run goes on from. Raises DataError for a class with fewer than two
    readable pictures.
    """
    samples, world = dataset.split("train"), store.world

    def compute() -> Pictures:
        reporter.say(f"reading {len(samples)} training pictures")
        facts = world.map(_facts_or_reason, samples, reporter.watched)
        return world.first(lambda: _cut(dataset, samples, facts, config, reporter, before))

    pictures = store.step(
        "data",
        Pictures,
        data_settings(dataset, config.validation, config.seed, before.key if before else ""),
        [],
        compute,
    )
    reasons = pictures.unreadable
    skipped = tuple(Skipped(sample.path, reasons[sample.key]) for sample in samples if sample.key in reasons)
    return pictures.readable(samples), pictures, skipped


def _cut(
    dataset: Dataset,
    samples: Sequence[Sample],
    facts: Sequence[PictureRecord | str],
    config: Config,
    reporter: Reporter,
    before: Seen | None,
) -> Pictures:
    unreadable = {sample.key: fact for sample, fact in zip(samples, facts, strict=True) if isinstance(fact, str)}
    labels = np.array([sample.label for sample in samples if sample.key not in unreadable], np.int64)
    counts = np.bincount(labels, minlength=1 + max(sample.label for sample in samples))
    for label, count in enumerate(counts):
        if count < 2:
            raise DataError(
                f"class {dataset.classes[label]!r} has {count} readable training pictures; at least 2 are needed."
                + _unreadable_ones([sample for sample in samples if sample.label == label], unreadable)
            )
    read = [fact for fact in facts if not isinstance(fact, str)]
    kept = [sample for sample in samples if sample.key not in unreadable]
    groups = groups_of(kept, [fact.taken for fact in read], np.stack([fact.small for fact in read]))
    if together := len(groups) - len(np.unique(groups)):
        reporter.say(f"{len(np.unique(groups))} occasions: {together} pictures were taken with others")
    if before is None:
        _, validation = validation_split(labels, config.validation, config.seed, groups)
    else:
        learnt, held = (
            np.array([fact.digest in side for fact in read]) for side in (before.learnt(), before.held_out())
        )
        _, validation = going_on_split(labels, config.validation, config.seed, groups, learnt, held)
    if without := [dataset.classes[label] for label in np.setdiff1d(labels, labels[validation])]:
        reporter.say(f"no choice is made on {named(without)}: of too few occasions to hold one out")
    sizes = np.array([fact.size for fact in read])
    return Pictures(sizes=sizes, groups=groups, validation=validation, copies=_copies(read), unreadable=unreadable)


def _copies(facts: Sequence[PictureRecord]) -> dict[str, ndarray]:
    bits = packed(np.stack([fact.small for fact in facts]))
    digests = np.stack([np.frombuffer(fact.digest, np.uint8) for fact in facts])
    order = np.lexsort(digests.T)  # so that the rows tell nothing of classes
    return {"bits": bits[order], "digests": digests[order]}


def _unreadable_ones(samples: Sequence[Sample], reasons: Mapping[str, str]) -> str:
    """The first of ``samples`` that cannot be read, a line each, and how many more there are."""
    lines = [f"  {reasons[sample.key]}" for sample in samples if sample.key in reasons]
    more = [f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join([" These cannot be read:", *lines[:SHOWN], *more]) if lines else ""


def held_out(
    dataset: Dataset, config: Config, store: Store, trained_on: TrainedOn
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """A run's readable training pictures, and those of them that none of its model's nets was trained on.

    ``trained_on`` are the pictures that its model was made from. Raises RunError if these are others, or
    if the run no longer knows them.
    """
    key = store.key("data", data_settings(dataset, config.validation, config.seed, trained_on.before), [])
    if key != trained_on.key:
        raise RunError(f"{store.folder}: was not trained on the pictures of {dataset.root}; give the run that was.")
    pictures = store.read("data", Pictures, key)
    if pictures is None:
        raise RunError(
            f"{store.path('data')}: damaged, or of a training begun since, and not of this run's model; "
            "train again with the model's settings, or take the training to its end."
        )
    readable = pictures.readable(dataset.split("train"))
    return readable, () if config.refit else tuple(readable[i] for i in pictures.validation)


def data_settings(dataset: Dataset, validation: Any, seed: Any, before: str) -> list[Any]:
    """What the cut depends on; ``before`` identifies the pictures that the net has seen that a run goes on from."""
    return [dataset.training_fingerprint(), validation, seed, *([before] if before else [])]


def _facts_or_reason(sample: Sample) -> PictureRecord | str:
    try:
        picture = read_picture(sample.path, short_side=DECODED_SIDE)
        with sample.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()[:DIGEST]
        return PictureRecord(picture.size, small_copy(picture.pixels), digest, taken(sample.path))
    except OSError as error:
        return f"{str(sample.path)!r}: cannot be read ({error.strerror})"
    except PictureNeedsMemory:
        raise  # what is set aside now is set aside for good
    except PictureError as error:
        return str(error)
