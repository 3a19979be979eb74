"""Taxonomies: in which genus, family or other larger group each class lies.

A table has the column ``class`` and, from the closest to the widest, a column for each level (``genus``, ``family``).
It is named, or lies as ``taxonomy.csv`` or ``taxonomy.tsv`` beside the pictures. A cell may be empty. Rows of other
classes are passed over, so that one table serves many data sets. In a tree of folders (``FAMILY/GENUS/CLASS``) the
folders are the groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wingbar._system.text import folded, nfc
from wingbar.data.checks import named, quoted
from wingbar.data.rows import line_error, read_rows
from wingbar.data.sample import Dataset, Taxonomy
from wingbar.errors import DataError, suggestion

FILES = ("taxonomy.csv", "taxonomy.tsv")
MOST_LEVELS = 12
CLASS = "class"


def with_taxonomy(dataset: Dataset, file: Path | str | None = None) -> Dataset:
    """The data set with the taxonomy of a ``file``, by default of one of `FILES` beside its pictures, if any.

    Raises DataError for a table that is damaged, that lacks a class, or in which a group lies in two others.
    """
    beside = [dataset.root / name for name in FILES]
    table = Path(file) if file is not None else next((one for one in beside if one.is_file()), None)
    if table is None or table == dataset.file:
        return dataset
    if not table.is_file():
        raise DataError(f"no taxonomy at {str(table)!r}: there is no such file. Check the path.")
    skipped = tuple(one for one in dataset.skipped if one.path.resolve() != table.resolve())
    return replace(dataset, taxonomy=read_taxonomy(table, dataset.classes), skipped=skipped)


def read_taxonomy(file: Path, classes: Sequence[str]) -> Taxonomy:
    """The table's groups of these ``classes``; names that differ in case and spaces alone are one. Raises DataError."""
    levels: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = {}
    alike = {folded(name): name for name in classes}
    for row in read_rows(file, (CLASS,)):
        levels = tuple(column for column in row.values if column and column != CLASS)
        written = nfc(row.values[CLASS])
        name = written if written in classes else alike.get(folded(written))
        if name in groups:
            raise line_error(file, row.line, f"the class {quoted(written)} is there twice")
        if name is not None:
            groups[name] = tuple(nfc(row.values[column]) for column in levels)
    if not 0 < len(levels) <= MOST_LEVELS:
        raise DataError(
            f"{str(file)!r}: {len(levels)} columns beside 'class'; give 1 to {MOST_LEVELS}, as 'class,genus,family'."
        )
    if missing := [name for name in classes if name not in groups]:
        raise DataError(
            f"{str(file)!r}: no row for the classes {named(missing)}.{suggestion(missing[0], groups)} "
            "Add a row for each; its groups may be left empty."
        )
    _nested(file, levels, groups)
    return Taxonomy(levels, groups)


def _nested(file: Path, levels: Sequence[str], groups: Mapping[str, tuple[str, ...]]) -> None:
    """Raises DataError where a group lies in two groups of a wider level."""
    first_of: dict[tuple[int, str], tuple[str, tuple[str, ...]]] = {}
    for name, row in groups.items():
        for level, group in enumerate(row):
            first, theirs = first_of.setdefault((level, group), (name, row))
            for wider in range(level + 1, len(levels)) if group else ():
                if theirs[wider] != row[wider]:
                    raise DataError(
                        f"{str(file)!r}: the {levels[level]} {quoted(group)} lies in the {levels[wider]} "
                        f"{quoted(theirs[wider])} with {quoted(first)}, and in {quoted(row[wider])} "
                        f"with {quoted(name)}. "
                        "Correct one, or give the two groups two names; the widest column stands last."
                    )


def of_folders(parents: Mapping[str, Sequence[str]]) -> Taxonomy | None:
    """The groups of a tree of folders, given the folders that each class lies in, the outermost first.

    A group that has the name of another in the same level is told by its path. None where there are no such folders, or
    not as many for each class.
    """
    depth = len(next(iter(parents.values()), ()))
    if not depth or any(len(row) != depth for row in parents.values()):
        return None
    paths = [{tuple(row[:place]) for row in parents.values()} for place in range(depth, 0, -1)]
    last = [[path[-1] for path in level] for level in paths]

    def group(row: Sequence[str], level: int) -> str:
        path = tuple(row[: depth - level])
        return path[-1] if last[level].count(path[-1]) == 1 else "/".join(path)

    levels = tuple("group" if not level else f"wider group {level}" for level in range(depth))
    return Taxonomy(levels, {name: tuple(group(row, level) for level in range(depth)) for name, row in parents.items()})
