"""What the readers of published data sets share: from what their lists say to a data set, compared with its paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from wingbar.data.checks import named, only_pictures
from wingbar.data.folders import Finder
from wingbar.data.sample import Annotation, Dataset, Sample, Split
from wingbar.errors import DataError


@dataclass(frozen=True, slots=True)
class Published:
    """The sizes that a data set's authors state."""

    layout: str
    """The data set's name, as its authors write it."""
    classes: int
    train: int
    """Training pictures; where the authors cut a validation set off, with it: Wingbar cuts its own."""
    test: int


@dataclass(frozen=True, slots=True)
class ListedPicture:
    """A picture as a list names it."""

    key: str
    """Path below the data set's folder by `listed_key`."""
    class_id: int
    split: Split
    box: tuple[float, float, float, float] | None = None
    """``xyxy``, half-open, pixels counted from 0."""
    annotations: tuple[Annotation, ...] = ()


def assemble(
    root: Path,
    published: Published,
    listed: list[ListedPicture],
    names: Mapping[int, str],
    *,
    keypoint_names: tuple[str, ...] = (),
    file: Path | None = None,
    remark: str = "",
) -> Dataset:
    """The data set of the listed pictures that are there.

    Classes without a picture are left out, the others numbered in the order of their ids. ``Dataset.note``
    says whether the set is as published, and ``remark``. Raises DataError for a picture listed twice, an
    unknown class, a class name used twice, or where nothing can be learnt from what is left.
    """
    where = f"data set {str(root)!r} ({published.layout})"
    _check(where, listed, names)
    finder = Finder(root)
    present: list[tuple[ListedPicture, Path]] = []
    missing: list[str] = []
    for picture in listed:
        path = finder.path(picture.key)
        if path.exists():
            present.append((picture, path))
        else:
            missing.append(picture.key)
    if not present:
        raise DataError(f"{where}: none of the {len(listed)} listed pictures is there, first {listed[0].key!r}.")
    used = sorted({picture.class_id for picture, _ in present})
    label = {class_id: number for number, class_id in enumerate(used)}
    samples = [
        Sample(path, item.key, label[item.class_id], item.split, item.box, annotations=item.annotations)
        for item, path in present
    ]
    pictures, skipped = only_pictures(samples)
    classes = tuple(names[class_id] for class_id in label)
    dataset = Dataset(root, root.name, published.layout, classes, pictures, skipped, keypoint_names, file)
    return replace(dataset, note="; ".join(_notes(dataset, published, missing, remark)))


def _check(where: str, listed: list[ListedPicture], names: Mapping[int, str]) -> None:
    if not listed:
        raise DataError(f"{where}: its lists name no picture. Restore them.")
    keys: set[str] = set()
    for item in listed:
        if item.key in keys:
            raise DataError(f"{where}: the picture {item.key!r} is listed twice. Restore the lists.")
        keys.add(item.key)
        if item.class_id not in names:
            raise DataError(f"{where}: class {item.class_id} of {item.key!r} has no name. Restore the lists.")
    twice = sorted(name for name in set(names.values()) if list(names.values()).count(name) > 1)
    if twice:
        raise DataError(f"{where}: class names are used twice: {named(twice)}. Restore the lists.")


def _notes(dataset: Dataset, published: Published, missing: list[str], remark: str) -> Iterator[str]:
    have = (len(dataset.classes), len(dataset.split("train")), len(dataset.split("test")))
    stated = (published.classes, published.train, published.test)
    paper = f"{stated[1]:,} training and {stated[2]:,} test pictures of {stated[0]} classes"
    if have == stated:
        yield f"complete, as published: {paper}"
    elif all(count <= whole for count, whole in zip(have, stated, strict=True)):
        yield f"a subset: published are {paper}"
    else:
        yield f"NOT as published, which is {paper}: do not compare results with papers"
    if missing:
        yield f"{len(missing):,} listed pictures are not there, first {missing[0]!r}"
    if remark:
        yield remark
