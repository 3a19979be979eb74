"""The pictures that a finished model was learnt from, and more of them, as one data set.

The two become one table with the columns ``path,label,split,group``, so that whoever reads the data set again finds
both. Boxes and keypoints, which only evaluations read, are left behind.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from wingbar._system.files import write_bytes
from wingbar.data.checks import quoted
from wingbar.data.layouts import table
from wingbar.data.sample import Dataset, Taxonomy
from wingbar.errors import DataError


def joined(before: Dataset, more: Dataset, file: Path) -> Dataset:
    """Both data sets as one; where a picture is in both, the label in ``more`` counts.

    It is ``more`` itself where that has all pictures of ``before``; else the table ``file``, which is written.
    Raises DataError for file names that no table can hold, RunError where it cannot be written.
    """
    rows = {
        sample.path: (dataset.classes[sample.label], sample.split, sample.group)
        for dataset in (before, more)
        for sample in dataset.samples
    }
    if len(rows) == len(more.samples):
        return more
    root = Path(os.path.commonpath([before.root, more.root]))
    lines = [(path.relative_to(root).as_posix(), *row) for path, row in rows.items()]
    write_bytes(file, _encoded([("path", "label", "split", "group"), *lines]))
    both = table.read(file, root)
    skipped = (*before.skipped, *more.skipped, *both.skipped)
    return replace(both, skipped=skipped, taxonomy=_taxonomy(before, more, both.classes))


def _encoded(rows: Sequence[Sequence[str]]) -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows(rows)
    try:
        return sink.getvalue().encode()
    except UnicodeEncodeError as error:
        name = sink.getvalue()[max(error.start - 40, 0) : error.end]
        raise DataError(f"{quoted(name)}: no table can hold this file's name. Rename the file.") from None


def _taxonomy(before: Dataset, more: Dataset, classes: Sequence[str]) -> Taxonomy | None:
    """The groups that either names; a class that neither knows has none. Those of ``more`` count where both differ."""
    known = [one.taxonomy for one in (before, more) if one.taxonomy is not None]
    if not known or any(one.levels != known[0].levels for one in known):
        return None
    groups = {name: row for one in known for name, row in one.groups.items()}
    return Taxonomy(known[0].levels, {name: groups.get(name, ("",) * len(known[0].levels)) for name in classes})
