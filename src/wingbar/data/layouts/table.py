"""A table of pictures: a comma-separated UTF-8 file with the header ``path,label`` or ``path,label,split``.

Paths are relative to the table's folder and stay inside it. ``split`` is ``train`` or ``test``; without that
column all pictures are for training. The order of the columns is free, and further columns are ignored.
Labels are class names; they are numbered in sorted order. Samples keep the order of the rows.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from wingbar.data.checks import NO_VALIDATION, VALIDATION_NAMES, checked, listed_key, named, only_pictures, quoted
from wingbar.data.sample import Dataset, Sample, Split
from wingbar.errors import DataError, suggestion

_NEEDED = ("path", "label")
_COLUMNS = (*_NEEDED, "split")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    key: str
    label: str
    split: Split


def read(file: Path) -> Dataset:
    """Read the table. Raises ``DataError``, with the line, if it is damaged or names no usable data set."""
    rows = _rows(file)
    classes = tuple(sorted({row.label for row in rows}))
    label = {name: number for number, name in enumerate(classes)}
    samples = [Sample(file.parent / row.key, row.key, label[row.label], row.split) for row in rows]
    kept, skipped = only_pictures(samples)
    return checked(Dataset(file.parent, file.stem, "table", classes, kept, skipped, file=file))


def _rows(file: Path) -> list[_Row]:
    rows: list[_Row] = []
    first_line: dict[str, int] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = _header(file, next(reader, []))
            for fields in reader:
                if not fields:
                    continue
                try:
                    row = _row(reader.line_num, header, fields)
                    if first_line.setdefault(row.key, row.line) != row.line:
                        raise ValueError(f"{quoted(row.key)} is listed already in line {first_line[row.key]}")
                except ValueError as error:
                    where = f"{str(file)!r}, line {reader.line_num}"
                    raise DataError(f"{where}: {error}. Correct or remove that line.") from None
                rows.append(row)
    except csv.Error as error:
        where = f"{str(file)!r}, line {reader.line_num}"
        raise DataError(f"{where}: {error}. Save it as plain comma-separated text.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{str(file)!r} is no UTF-8 text: {error}. Save it as comma-separated UTF-8.") from error
    return rows


def _header(file: Path, fields: list[str]) -> list[str]:
    """The column names in lower case, with ``path`` and ``label`` among them and none twice."""
    columns = [field.strip().lower() for field in fields]
    where = f"{str(file)!r}, line 1"
    if not any(columns):
        raise DataError(f"{where}: no header. Begin the file with the line 'path,label' or 'path,label,split'.")
    for name in _COLUMNS:
        if columns.count(name) > 1:
            raise DataError(f"{where}: the column {name!r} is there twice. Keep one of them.")
    missing = [name for name in _COLUMNS if name not in columns]
    # a mistyped "split" must not pass as one of the columns to ignore
    for column in columns:
        if column not in _COLUMNS and (hint := suggestion(column, missing)):
            raise DataError(f"{where}: unknown column {quoted(column)}.{hint} Rename it.")
    if set(missing) & set(_NEEDED):
        separator = next((mark for mark in ";\t|" if mark in fields[0]), None)
        hint = f" It seems to be separated by {separator!r}: use commas." if separator else ""
        raise DataError(
            f"{where}: no column {missing[0]!r} among {named(columns)}.{hint} "
            "Begin the file with the line 'path,label' or 'path,label,split'."
        )
    return columns


def _row(line: int, header: list[str], fields: list[str]) -> _Row:
    """One row. Raises ``ValueError`` with the reason if it is not complete."""
    if len(fields) != len(header):
        raise ValueError(f"{len(fields)} fields, but {len(header)} columns (quote values that hold commas)")
    values = {name: text.strip() for name, text in zip(header, fields, strict=True)}
    if not values["label"]:
        raise ValueError("the label is empty")
    split = values.get("split", "train").lower()
    if split in VALIDATION_NAMES:
        raise ValueError(f"{quoted(split)} is not a split. {NO_VALIDATION.rstrip('.')}")
    if split not in ("train", "test"):
        raise ValueError(
            f"the split {quoted(split)} is neither 'train' nor 'test'.{suggestion(split, ('train', 'test'))}"
        )
    return _Row(line, listed_key(values["path"]), values["label"], cast(Split, split))
