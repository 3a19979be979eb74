"""What is wrong with a data set, before anything is learnt from it: one decoding of each picture tells all.

Pictures are looked at one by one and remembered as a few kilobytes, so memory grows slowly with their number.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from wingbar.check.duplicates import Small, same_photographs, small_copy
from wingbar.check.labels import doubtful
from wingbar.data.sample import Dataset, Sample
from wingbar.errors import PictureError
from wingbar.images import read_picture

READ_SIDE = 128
"""Short side at which pictures are decoded."""
TINY = 64
"""Short side, in pixels, below which a picture hardly shows a small mark."""
FEW = 10
"""Training pictures below which a class has a single picture in a validation cut of a tenth."""
UNEVEN = 10
"""Times that the largest class may be larger than the smallest."""
GREY = 6
"""Difference between the colour channels that 99 % of a grey picture's pixels stay below (JPEG leaves a little)."""


@dataclass(frozen=True, eq=False)
class Look:
    """What one decoding of a picture tells."""

    digest: str
    """SHA-256 of the file."""
    size: tuple[int, int]
    """(width, height), upright."""
    turned: bool
    grey: bool
    small: Small


@dataclass(frozen=True)
class Item:
    """One thing found: the pictures concerned, if any, and what is known of it."""

    pictures: tuple[Sample, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """All things found of one kind."""

    key: str
    title: str
    advice: str
    items: tuple[Item, ...]


def look_at(sample: Sample) -> Look | str:
    """Decode one picture; the reason where that fails."""
    try:
        picture = read_picture(sample.path, short_side=READ_SIDE)
        with sample.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (PictureError, OSError) as error:
        return str(error).removeprefix(f"{str(sample.path)!r}: ")
    return Look(digest, picture.size, picture.turned, is_grey(picture.pixels), small_copy(picture.pixels))


def is_grey(pixels: UInt8[ndarray, "height width 3"]) -> bool:
    """Whether a picture has no colours."""
    spread = pixels.max(2).astype(np.int16) - pixels.min(2)
    return bool(np.quantile(spread, 0.99) < GREY)


def audit(dataset: Dataset) -> tuple[Finding, ...]:
    """All findings of a data set, empty ones included, the gravest first."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # as many big pictures in memory as there are cores
        looks = list(pool.map(look_at, dataset.samples))
    seen = [(s, look) for s, look in zip(dataset.samples, looks, strict=True) if isinstance(look, Look)]
    bad = [(s, look) for s, look in zip(dataset.samples, looks, strict=True) if isinstance(look, str)]

    def those(holds: Callable[[Look], bool]) -> tuple[Item, ...]:
        return tuple(Item((s,), {"size": "{} x {}".format(*look.size)}) for s, look in seen if holds(look))

    unreadable = [Item((sample,), {"reason": reason}) for sample, reason in bad]
    skipped = [Item((), {"file": _within(dataset, one.path), "reason": one.reason}) for one in dataset.skipped]
    return (
        *copies(dataset, seen),
        Finding("unreadable", "Cannot be read whole", "Restore or remove them.", tuple(unreadable)),
        Finding("skipped", "Not taken for pictures", "See whether any should be.", tuple(skipped)),
        Finding("tiny", f"Short side under {TINY} px", "Find larger ones.", those(lambda k: min(k.size) < TINY)),
        Finding("grey", "Without colours", "Keep them if what you will name is grey too.", those(lambda k: k.grey)),
        Finding(
            "turned", "Turned by EXIF",
            "Wingbar turns them upright; see that boxes made with other programs fit.", those(lambda k: k.turned),
        ),
        *classes(dataset),
    )  # fmt: skip


def _within(dataset: Dataset, path: Path) -> str:
    return path.relative_to(dataset.root).as_posix() if path.is_relative_to(dataset.root) else str(path)


def copies(dataset: Dataset, seen: Sequence[tuple[Sample, Look]]) -> tuple[Finding, ...]:
    """The photographs that are there more than once: across splits, across classes, and elsewhere."""
    across_splits, across_classes, others = [], [], []
    smalls = np.stack([look.small for _, look in seen]) if seen else np.zeros((0, 1, 1), np.uint8)
    groups, links = same_photographs([look.digest for _, look in seen], smalls)
    for group in groups:
        samples = tuple(seen[i][0] for i in group)
        files = {seen[i][1].digest for i in group}
        least = min((s for (i, _), s in links.items() if i in group), default=1.0)
        item = Item(samples, {"copies": "the same file"} if len(files) == 1 else {"similarity": round(least, 3)})
        splits, labels = {s.split for s in samples}, {s.label for s in samples}
        if len(splits) > 1:
            across_splits.append(item)
        if len(labels) > 1:
            across_classes.append(item)
        if len(splits) == len(labels) == 1:
            others.append(item)
    return (
        Finding(
            "leakage", "The same photograph in training and test",
            "Take it out of one: a test picture that was learnt says nothing.", tuple(across_splits),
        ),
        Finding(
            "conflicts", "The same photograph under two labels", "Keep the right one.", tuple(across_classes),
        ),
        Finding(
            "duplicates", "The same photograph twice in a class", "Keep one, or let it count double.", tuple(others),
        ),
    )  # fmt: skip


def classes(dataset: Dataset) -> tuple[Finding, Finding]:
    """Classes with few training pictures, and whether the largest dwarfs the smallest."""
    count = Counter(sample.label for sample in dataset.split("train"))
    named = {name: count[label] for label, name in enumerate(dataset.classes)}
    few = tuple(Item((), {"class": name, "training pictures": n}) for name, n in named.items() if n < FEW)
    most, least = max(named, key=named.__getitem__), min(named, key=named.__getitem__)
    facts = {"largest": most, "pictures": named[most], "smallest": least, "its pictures": named[least]}
    uneven = (Item((), facts),) if named[most] > UNEVEN * named[least] else ()
    return (
        Finding("small", f"Classes of fewer than {FEW} training pictures", "Add pictures.", few),
        Finding("uneven", f"Largest class over {UNEVEN} times the smallest", "Add pictures to the small ones.", uneven),
    )


def doubts(
    key: str,
    title: str,
    dataset: Dataset,
    samples: Sequence[Sample],
    probabilities: Float[ndarray, "n classes"],
    told: str,
) -> Finding:
    """Labels in doubt by probabilities of nets that have not seen the samples; ``told`` says how they were judged."""
    labels = np.array([sample.label for sample in samples], np.int64)
    items = []
    for index, likelier in doubtful(labels, probabilities):
        own, other = (round(float(probabilities[index, label]), 3) for label in (labels[index], likelier))
        facts = {"rather": dataset.classes[likelier], "at": other, "its label at": own}
        items.append(Item((samples[index],), facts))
    return Finding(key, title, f"Look at them, the first first. {told}", tuple(items))


def leaks(findings: Iterable[Finding]) -> bool:
    """Whether a photograph is in training and test."""
    return any(finding.key == "leakage" and finding.items for finding in findings)
