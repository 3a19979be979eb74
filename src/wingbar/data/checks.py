"""What every layout has in common: which files count as pictures, safe paths, the minimum to train."""

from __future__ import annotations

import os
import reprlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from wingbar._system.text import folded, spelt_out
from wingbar.data.folders import why_hidden
from wingbar.data.sample import Dataset, Sample, Skipped
from wingbar.errors import DataError, PictureError, suggestion
from wingbar.images import picture_size

EXTENSIONS = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm",
        ".heic", ".heif", ".hif", ".avif",
    )
)  # fmt: skip
MIN_PER_CLASS = 2
VALIDATION_NAMES = ("val", "valid", "validation", "dev")
NO_VALIDATION = "is not a split. Wingbar cuts its own validation set out of the training pictures"
"""What is said of a split with one of these names, before the remedy."""


_SHORT = reprlib.Repr()
_SHORT.maxstring = 200


def quoted(text: str) -> str:
    """A name or field of a file as errors show it: no control characters, and no page full of it."""
    return _SHORT.repr(text)


def named(items: Iterable[object], limit: int = 5) -> str:
    """``"'a', 'b' and 7 more"``: quoted, so that no hostile name can write control characters."""
    texts = [quoted(str(item)) for item in items]
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest} more" if rest > 0 else "")


def why_no_picture(path: Path) -> str | None:
    """None if name and header are those of a picture, else the reason. Nothing is decoded."""
    if (reason := why_hidden(path.name)) is not None:
        return reason
    if path.suffix.lower() not in EXTENSIONS:
        known = os.path.exists(path)  # noqa: PTH110 # of a name too long for the system pathlib raises
        return f"not a picture's extension: {quoted(path.suffix)}" if known else _missing(path)
    try:
        picture_size(path)
    except PictureError as error:
        return str(error).removeprefix(f"{str(path)!r}: ")
    return None


def _missing(path: Path) -> str:
    """The reason for a file that is not there, as a list names it; lists may leave the extension out."""
    for ending in sorted(EXTENSIONS):
        if os.path.exists(f"{path}{ending}"):  # noqa: PTH110 # as above
            return f"no such file, but {quoted(path.name + ending)} is there: write its extension too"
    return "no such file"


def only_pictures(samples: Iterable[Sample]) -> tuple[tuple[Sample, ...], tuple[Skipped, ...]]:
    """Samples whose file is a picture, and the others as ``Skipped``."""
    pictures, skipped = [], []
    for sample in samples:
        reason = why_no_picture(sample.path)
        if reason is None:
            pictures.append(sample)
        else:
            skipped.append(Skipped(sample.path, reason))
    return tuple(pictures), tuple(skipped)


def listed_key(text: str) -> str:
    """A path written in a list as a key: relative, with forward slashes, ``a//./b`` made ``a/b``.

    Raises ``ValueError`` with the reason if, on any system, it could name anything outside the data
    set's folder.
    """
    path = PurePosixPath(text)
    if not path.parts or "\0" in text:
        raise ValueError(f"{quoted(text)} is no path")
    if path.is_absolute() or PureWindowsPath(text).anchor:
        raise ValueError(f"{quoted(text)} is not relative to the data set's folder")
    if ".." in path.parts or ".." in PureWindowsPath(text).parts:
        raise ValueError(f"{quoted(text)} leads out of the data set's folder")
    return path.as_posix()


def not_empty(dataset: Dataset) -> Dataset:
    """The data set. Raises ``DataError`` where it has no picture."""
    if not dataset.samples:
        skipped = _skipped_note(dataset.skipped)
        raise DataError(f"{_where(dataset)}: no picture found.{skipped} Check the path and the layout.")
    return dataset


def learnable(dataset: Dataset) -> Dataset:
    """The data set, its note telling of class names that look alike. Raises ``DataError`` where it cannot be learnt."""
    not_empty(dataset)
    where, skipped = _where(dataset), _skipped_note(dataset.skipped)
    if len(dataset.classes) < 2:
        raise DataError(
            f"{where}: only one class, {named(dataset.classes)}; at least two are needed.{skipped} "
            "Give each class a folder, or a label, of its own."
        )
    _check_counts(dataset, where, skipped)
    alike = [
        f"CLASSES LOOK ALIKE: {' and '.join(map(spelt_out, names))}; if they are one, give them one name"
        for names in names_alike(dataset.classes)
    ]
    return replace(dataset, note="; ".join(filter(None, [dataset.note, *alike]))) if alike else dataset


def _where(dataset: Dataset) -> str:
    return f"data set {str(dataset.root)!r} ({dataset.layout})"


def names_alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of names that look the same, or nearly so: see `wingbar._system.text.folded`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(folded(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _check_counts(dataset: Dataset, where: str, skipped: str) -> None:
    train = Counter(sample.label for sample in dataset.split("train"))
    test = Counter(sample.label for sample in dataset.split("test"))
    unknown = [name for label, name in enumerate(dataset.classes) if test[label] and not train[label]]
    if unknown:
        raise unknown_test_classes(where, unknown, [dataset.classes[label] for label in train], skipped)
    small = [(name, train[label]) for label, name in enumerate(dataset.classes) if train[label] < MIN_PER_CLASS]
    if small:
        raise DataError(
            f"{where}: fewer than {MIN_PER_CLASS} training pictures in {named(name for name, _ in small)} "
            f"({', '.join(str(count) for _, count in small[:5])}); one is needed to learn from and one to "
            f"validate with.{skipped} Add pictures, or remove the class."
        )


def unknown_test_classes(where: str, unknown: Sequence[str], known: Iterable[str], note: str = "") -> DataError:
    """The error for classes that are tested but never trained."""
    return DataError(
        f"{where}: no training pictures for the test classes {named(unknown)}.{suggestion(unknown[0], known)}"
        f"{note} Add training pictures, or take them out of the test split."
    )


def _skipped_note(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return ""
    first = skipped[0]
    files = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
    return f" {files} skipped, first {str(first.path)!r}: {first.reason}."
