"""The records of a data set of any layout: samples with one label each, and the files that were left out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from wingbar._system.text import several
from wingbar.errors import DataError

Split = Literal["train", "test"]

_EDGE = 4096


@dataclass(frozen=True, slots=True)
class Keypoint:
    """A visible, named point of the object, in pixels of the original picture. For evaluation only."""

    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Annotation:
    """A file that tells where the object of one picture is. For evaluation only, and read for it alone."""

    path: Path
    kind: Literal["trimap", "cut-out", "box", "head"]
    """How it tells: see `wingbar.data.layouts.annotations`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled picture.

    ``key`` is its path relative to the data set's root, with forward slashes: the same on every machine.
    ``box`` (xyxy, half-open, pixels of the original) and the visible ``keypoints`` are for evaluation
    only; training sees the label alone. A box is as annotated, and may reach a little over the edge.
    ``annotations`` are the files that tell both where no list does: `wingbar.data.layouts.annotations` reads them.
    ``group`` is the occasion of the picture (site, day, individual), where a table names one: see
    `wingbar.data.occasions`.
    """

    path: Path
    key: str
    label: int
    split: Split
    box: tuple[float, float, float, float] | None = None
    keypoints: tuple[Keypoint, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """In which larger groups the classes lie: see `wingbar.data.taxonomy`."""

    levels: tuple[str, ...]
    """What the groups are, the closest first: ``genus``, ``family``."""
    groups: Mapping[str, tuple[str, ...]] = field(hash=False)
    """Class -> name of its group at each level; empty where it has none there."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file found or listed that is not in the data set, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples in a fixed order; ``classes[sample.label]`` is a sample's class name."""

    root: Path
    name: str
    layout: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    skipped: tuple[Skipped, ...] = ()
    keypoint_names: tuple[str, ...] = ()
    file: Path | None = None
    """The file that the data set was read from, where it was not its folder."""
    note: str = ""
    """How the set compares with the published one, where its layout is that of one; of a tree, what its classes are."""
    images_root: Path | None = None
    """The folder that a table's paths start at, where one was named."""
    taxonomy: Taxonomy | None = None
    """The groups that classes lie in: a table's, or in a tree the folders that they lie in; None where nothing says."""

    @property
    def source(self) -> Path:
        """What `wingbar.data.load` reads it from again: the file, or the folder. A link to a file stays itself."""
        return self.root.resolve() if self.file is None else self.file.parent.resolve() / self.file.name

    def split(self, name: Split) -> tuple[Sample, ...]:
        """The samples of one split, in the data set's order."""
        if name not in ("train", "test"):
            raise ValueError(f"a split is 'train' or 'test', not {name!r}")
        return tuple(sample for sample in self.samples if sample.split == name)

    def first_classes(self, count: int) -> Dataset:
        """The data set of the first ``count`` classes alone; labels stay as they are.

        Raises ``DataError`` unless 2 <= count <= the number of classes.
        """
        if not 2 <= count <= len(self.classes):
            raise DataError(f"cannot take the first {count} classes of {self.name!r}: give 2 to {len(self.classes)}")
        samples = tuple(sample for sample in self.samples if sample.label < count)
        return replace(self, classes=self.classes[:count], samples=samples)

    def fingerprint(self) -> str:
        """SHA-256 (hex) of classes, keys, labels, splits and file contents.

        Of each file its size and its first and last 4 KiB count: a few milliseconds per hundred
        pictures, and the same on every machine, which time stamps are not. A re-encoded or replaced
        picture changes them; an edit in the middle of an uncompressed file of equal size goes unseen.
        Raises ``DataError`` if a file has gone.
        """
        return self._fingerprint(self.samples)

    def training_fingerprint(self) -> str:
        """`fingerprint` of the training pictures alone: what training depends on."""
        return self._fingerprint(self.split("train"))

    def _fingerprint(self, samples: tuple[Sample, ...]) -> str:
        digest = hashlib.sha256()
        for name in self.classes:
            _add(digest, name)
        for sample in samples:
            _add(digest, sample.key, str(sample.label), sample.split, *([sample.group] if sample.group else []))
            digest.update(_content(sample.path))
        return digest.hexdigest()

    def describe(self) -> str:
        """One line for people: name, layout, classes, pictures per split, what was skipped, whether it is complete."""
        train, test = len(self.split("train")), len(self.split("test"))
        skipped = f", {several(count, 'file')} skipped" if (count := len(self.skipped)) else ""
        return (
            f"{self.name} ({self.layout}): {several(len(self.classes), 'class')}, "
            f"{train} training and {several(test, 'test picture')}{skipped}" + (f"; {self.note}" if self.note else "")
        )


def _add(digest: hashlib._Hash, *words: str) -> None:
    """Length first, so that no two lists of words give the same bytes; any file name can be encoded."""
    for word in words:
        data = word.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)


def _content(path: Path) -> bytes:
    """Digest of a file's size, beginning and end."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            head = file.read(_EDGE)
            file.seek(max(size - _EDGE, 0))
            return hashlib.sha256(size.to_bytes(8, "little") + head + file.read(_EDGE)).digest()
    except OSError as error:
        raise DataError(
            f"{str(path)!r} was there when the data set was read and cannot be read now "
            f"({error.strerror}); restore it, or read the data set again"
        ) from error
