"""A table of pictures with the columns ``path,label`` and, if wanted, ``split`` and ``group``: see `wingbar.data.rows`.

``split`` is ``train`` or ``test``; without that column all pictures are for training. Pictures of one ``group`` (site,
day, individual) stay on one side of every cut; a picture without one is alone. The order of the columns is
free, and further columns are ignored. Labels are class names; they are numbered in sorted order. Samples keep the
order of the rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from wingbar._system.text import nfc
from wingbar.data.checks import NO_VALIDATION, VALIDATION_NAMES, only_pictures, quoted
from wingbar.data.rows import Places, Row, line_error, read_rows
from wingbar.data.sample import Dataset, Sample, Split
from wingbar.errors import suggestion


def read(file: Path, root: Path | None = None) -> Dataset:
    """Read the table; paths start at ``root``, or else at the table's folder.

    Raises ``DataError``, with the line, if the table is damaged or names no usable data set.
    """
    places = Places(file, root)
    rows: list[tuple[Path, str, str, Split, str]] = []
    first_line: dict[str, int] = {}
    for row, key, path in places.rows(read_rows(file, ("path", "label"), ("split", "group"))):
        if first_line.setdefault(key, row.line) != row.line:
            raise line_error(file, row.line, f"{quoted(key)} is listed already in line {first_line[key]}")
        rows.append((path, key, *_label_and_split(file, row), nfc(row.values.get("group", ""))))
    classes = tuple(sorted({label for _, _, label, _, _ in rows}))
    number = {name: label for label, name in enumerate(classes)}
    samples = [Sample(path, key, number[label], split, group=group) for path, key, label, split, group in rows]
    pictures, skipped = only_pictures(samples)
    return Dataset(places.root, file.stem, "table", classes, pictures, skipped, file=file, images_root=root)


def _label_and_split(file: Path, row: Row) -> tuple[str, Split]:
    label, split = nfc(row.values["label"]), row.values.get("split", "train").lower()
    if not label:
        raise line_error(file, row.line, "the label is empty")
    if split in VALIDATION_NAMES:
        instead = f"Write 'train' in place of each {quoted(split)} to learn from those pictures too"
        raise line_error(file, row.line, f"{quoted(split)} {NO_VALIDATION}", f"{instead}, or 'test' to judge by them.")
    if split not in ("train", "test"):
        problem = f"the split {quoted(split)} is neither 'train' nor 'test'"
        if meant := suggestion(split, ("train", "test")):
            raise line_error(file, row.line, problem + "." + meant.rstrip("."))
        raise line_error(file, row.line, problem, "Write one of these into the column 'split' of each row.")
    return label, cast(Split, split)
