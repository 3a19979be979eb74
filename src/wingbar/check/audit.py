"""What is wrong with a data set, before anything is learnt from it: one decoding of each picture tells all.

Pictures are decoded one by one and remembered as a few kilobytes, so memory grows slowly with their number.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from wingbar._system.text import folded, plain_letters, spelt_out
from wingbar.check.labels import doubtful
from wingbar.data.duplicates import Small, same_photographs, small_copy
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
DARK = 48
"""Brightness (0..255) that 98 % of a dark picture's pixels stay below: underexposed, or deep pixels scaled wrongly."""
BLANK, FAINT = 6, 40
"""Span of brightness (0..255), without 1 % at either end, below which a picture shows nothing, or hardly anything."""


@dataclass(frozen=True, eq=False)
class PictureFacts:
    """The facts of a picture that its decoding gives."""

    digest: str
    """SHA-256 of the file."""
    size: tuple[int, int]
    """(width, height), upright."""
    turned: bool
    grey: bool
    light: Light
    small: Small


@dataclass(frozen=True)
class Light:
    """How light a picture is and how much that varies, in 0..255."""

    brightness: float
    """98 % of the pixels are darker, by their brightest channel."""
    span: float
    """Of the channel that differs most over the picture, without 1 % at either end."""

    @property
    def blank(self) -> bool:
        """Whether the picture shows a single colour."""
        return self.span < BLANK

    @property
    def dark(self) -> bool:
        """Whether it shows something, but nearly black."""
        return self.brightness < DARK and not self.blank

    @property
    def faint(self) -> bool:
        """Whether it shows something, bright enough, but of little contrast."""
        return self.span < FAINT and not self.blank and not self.dark


@dataclass(frozen=True)
class Fault:
    """One fault: the pictures concerned, if any, and its facts."""

    pictures: tuple[Sample, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """All faults of one kind."""

    key: str
    title: str
    advice: str
    items: tuple[Fault, ...]


def examine(sample: Sample) -> PictureFacts | str:
    """Decode one picture; the reason where that fails."""
    try:
        picture = read_picture(sample.path, short_side=READ_SIDE)
        with sample.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (PictureError, OSError) as error:
        return str(error).removeprefix(f"{str(sample.path)!r}: ")
    pixels = picture.pixels
    return PictureFacts(digest, picture.size, picture.turned, is_grey(pixels), light_of(pixels), small_copy(pixels))


def is_grey(pixels: UInt8[ndarray, "height width 3"]) -> bool:
    """Whether a picture has no colours."""
    spread = pixels.max(2).astype(np.int16) - pixels.min(2)
    return bool(np.quantile(spread, 0.99) < GREY)


def light_of(pixels: UInt8[ndarray, "height width 3"]) -> Light:
    """How bright a picture is, and how much there is to see. Channels count apart: a pure blue is not dark."""
    low, high = np.quantile(pixels, (0.01, 0.99), axis=(0, 1))
    return Light(float(np.quantile(pixels.max(2), 0.98)), float((high - low).max()))


Examined = list[tuple[Sample, PictureFacts | str]]
"""Each picture with its facts, or with why it cannot be read."""


def examine_all(dataset: Dataset) -> Examined:
    """Decode every picture of a data set once."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # as many big pictures in memory as there are cores
        return list(zip(dataset.samples, pool.map(examine, dataset.samples), strict=True))


def audit(dataset: Dataset, examined: Examined | None = None) -> tuple[Finding, ...]:
    """All findings of a data set, empty ones included, the gravest first; its pictures may be ``examined`` already."""
    results = examine_all(dataset) if examined is None else examined
    read = [(sample, facts) for sample, facts in results if isinstance(facts, PictureFacts)]
    unreadable = [Fault((sample,), {"reason": reason}) for sample, reason in results if isinstance(reason, str)]
    skipped = [Fault((), {"file": _within(dataset, file.path), "reason": file.reason}) for file in dataset.skipped]

    def those(holds: Callable[[PictureFacts], bool]) -> tuple[Fault, ...]:
        return tuple(Fault((s,), {"size": "{} x {}".format(*facts.size)}) for s, facts in read if holds(facts))

    return (
        *copies(dataset, read),
        Finding("unreadable", "Cannot be read whole", "Restore or remove them.", tuple(unreadable)),
        Finding("skipped", "Not taken for pictures", "See whether any should be.", tuple(skipped)),
        like_names(dataset),
        Finding("blank", "Of a single colour", "Remove them: they show nothing.", those(lambda k: k.light.blank)),
        Finding("dark", "Nearly black", "Brighten or replace them.", those(lambda k: k.light.dark)),
        Finding("faint", "Of little contrast", "See what they show.", those(lambda k: k.light.faint)),
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


def copies(dataset: Dataset, read: Sequence[tuple[Sample, PictureFacts]]) -> tuple[Finding, ...]:
    """The photographs that are there more than once: across splits, across classes, and elsewhere."""
    across_splits, across_classes, others = [], [], []
    smalls = np.stack([facts.small for _, facts in read]) if read else np.zeros((0, 1, 1), np.uint8)
    groups, links = same_photographs([facts.digest for _, facts in read], smalls)
    for group in groups:
        samples = tuple(read[i][0] for i in group)
        files = {read[i][1].digest for i in group}
        least = min((s for (i, _), s in links.items() if i in group), default=1.0)
        item = Fault(samples, {"copies": "the same file"} if len(files) == 1 else {"similarity": round(least, 3)})
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


def like_names(dataset: Dataset) -> Finding:
    """Classes that people may have meant to be one: their names hardly differ. Names are spelt out in ASCII."""
    count = Counter(sample.label for sample in dataset.samples)
    items = [
        Fault((), {
            "classes": ", ".join(spelt_out(dataset.classes[label]) for label in group),
            "pictures in each": ", ".join(str(count[label]) for label in group),
            "alike but for": difference,
        })
        for difference, group in _groups(dataset.classes)
    ]  # fmt: skip
    advice = "If they are one class, give its pictures one folder, or one label; names are spelt out in ASCII here."
    return Finding("names", "Class names that look alike", advice, tuple(items))


def _groups(names: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """How the names of each group differ, and the group; the closest first, none twice."""
    known: set[tuple[int, ...]] = set()
    for difference, key in (
        ("case, spaces or how letters are encoded", folded),
        ("accents, punctuation or a number in front", plain_letters),
    ):
        groups: dict[str, list[int]] = {}
        for label, name in enumerate(names):
            groups.setdefault(key(name) or name, []).append(label)
        for group in groups.values():
            if len(group) > 1 and tuple(group) not in known:
                known.add(tuple(group))
                yield difference, group


def classes(dataset: Dataset) -> tuple[Finding, Finding]:
    """Classes with few training pictures, and whether the largest dwarfs the smallest."""
    count = Counter(sample.label for sample in dataset.split("train"))
    sizes = {name: count[label] for label, name in enumerate(dataset.classes)}
    few = tuple(Fault((), {"class": name, "training pictures": n}) for name, n in sizes.items() if n < FEW)
    most, least = max(sizes, key=sizes.__getitem__), min(sizes, key=sizes.__getitem__)
    facts = {"largest": most, "training pictures": sizes[most], "smallest": least, "its pictures": sizes[least]}
    uneven = (Fault((), facts),) if sizes[most] > UNEVEN * sizes[least] else ()
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
    basis: str,
) -> Finding:
    """Labels in doubt by probabilities of nets that have not seen the samples; ``basis`` says by which nets."""
    labels = np.array([sample.label for sample in samples], np.int64)
    items = []
    for index, likelier in doubtful(labels, probabilities):
        given, rather = (round(float(probabilities[index, label]), 3) for label in (labels[index], likelier))
        facts = {"rather": dataset.classes[likelier], "at": rather, "its label at": given}
        items.append(Fault((samples[index],), facts))
    return Finding(key, title, f"Look at them, the first first. {basis}", tuple(items))


def leaks(findings: Iterable[Finding]) -> bool:
    """Whether a photograph is in training and test."""
    return any(finding.key == "leakage" and finding.items for finding in findings)
