"""Training pictures to compare with: listed when the server starts, asked for by number, shown small."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from wingbar.data import load as load_data
from wingbar.errors import DataError
from wingbar.evaluation.labelled import labels_by_name
from wingbar.images import read_picture, small_jpeg

PER_CLASS = 6
SIDE = 240
"""Short side of an example, in pixels; the other is at most twice that."""
CACHED = 512


class ExamplePictures:
    """A few pictures of each class. A request names a class and a number, never a file."""

    def __init__(self, paths: Sequence[Sequence[Path]]) -> None:
        self._paths = tuple(tuple(of_class) for of_class in paths)
        self.counts = tuple(len(of_class) for of_class in self._paths)
        self.jpeg = lru_cache(CACHED)(self._jpeg)

    def has(self, label: int, number: int) -> bool:
        """Whether there is such an example."""
        return 0 <= label < len(self.counts) and 0 <= number < self.counts[label]

    def _jpeg(self, label: int, number: int) -> bytes:
        """A small copy without the original's metadata (where a photograph was taken is nobody's business).

        Raises PictureError for a file that has gone or is damaged.
        """
        return small_jpeg(read_picture(self._paths[label][number], short_side=SIDE), 2 * SIDE)


def find_examples(classes: Sequence[str], data: Path, root: Path | str | None = None) -> ExamplePictures:
    """Evenly spread training pictures of each class of the data set at ``data``.

    A table's paths start at ``root``, or else at its folder. Classes are found by `labels_by_name`. Raises DataError
    if there is no such data set, or if it knows none of the classes.
    """
    dataset = load_data(data, root)
    label = labels_by_name(dataset.classes, classes)
    by_class: list[list[Path]] = [[] for _ in classes]
    for sample in dataset.split("train"):
        if sample.label in label:
            by_class[label[sample.label]].append(sample.path)
    if not any(by_class):
        raise DataError(f"{str(data)!r}: has training pictures of none of the model's classes.")
    return some_of(by_class)


def some_of(by_class: Sequence[Sequence[Path]]) -> ExamplePictures:
    """`PER_CLASS` pictures of each class, evenly spread."""
    return ExamplePictures([spread(paths, PER_CLASS) for paths in by_class])


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of the paths, at equal distances from the first to the last."""
    places = np.linspace(0, len(paths) - 1, min(len(paths), count)).round().astype(int)
    return [paths[place] for place in places.tolist()]
