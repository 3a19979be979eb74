"""Lists of a place: the species that are there, or how frequent each is; names are found among a model's classes.

``list.txt``   a name a line; lines that begin with ``#`` are left out
``place.csv``  a table with the columns ``label`` and ``prior``

A list may have more species than a model knows: those are told, and the others count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from wingbar._system.text import nfc, plain_letters
from wingbar.data.checks import quoted
from wingbar.data.rows import line_error, read_rows
from wingbar.errors import DataError, suggestion

TOLD = 5
"""Unknown names that are told one by one."""
COMPARED = 300
"""Unknown names that a class is sought for which they resemble: the list of the world's birds has ten thousand."""


def read_only(file: Path, classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """The classes that a list names, and lines that tell of the names which are none.

    Raises DataError for a file that cannot be read, or names no class.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{str(file)!r} cannot be read ({error.strerror}); give a text file, a name a line.") from None
    except UnicodeError:
        raise DataError(f"{str(file)!r}: no UTF-8 text. Save it as UTF-8, a name a line.") from None
    names = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    class_of = _found(names, classes)
    _require_one(file, class_of, names, classes)
    return list(dict.fromkeys(class_of.values())), unknown_lines(file, [n for n in names if n not in class_of], classes)


def read_prior(file: Path, classes: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Class -> how frequent it is at the place, and lines that tell of the names which are no classes.

    Raises DataError, with the line, for a damaged table, a class that is there twice, and one that names no class.
    """
    values: dict[str, float] = {}
    rows = list(read_rows(file, ("label", "prior")))
    class_of = _found((row.values["label"] for row in rows), classes)
    for row in rows:
        name = class_of.get(row.values["label"])
        try:
            value = float(row.values["prior"])
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise line_error(file, row.line, f"the prior {quoted(row.values['prior'])} is no number of 0 or more")
        if name is not None:
            if name in values:
                raise line_error(file, row.line, f"{quoted(name)} is there twice")
            values[name] = value
    labels = [row.values["label"] for row in rows]
    _require_one(file, class_of, labels, classes)
    return values, unknown_lines(file, [label for label in labels if label not in class_of], classes)


def unknown_lines(file: Path, unknown: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Lines for people: names that are no classes, those that resemble one first."""
    hints = [suggestion(name, classes) for name in unknown[:COMPARED]]
    ordered = sorted(zip_longest(unknown, hints, fillvalue=""), key=lambda one: not one[1])
    lines = [f"{str(file)!r}: {quoted(name)} is no class of the model.{hint}" for name, hint in ordered[:TOLD]]
    if len(unknown) > TOLD:
        lines.append(f"{str(file)!r}: {len(unknown) - TOLD} more names are no classes of the model.")
    return lines


def _found(names: Iterable[str], classes: Sequence[str]) -> dict[str, str]:
    """Name -> class: the same name, or the only one that differs by case, accents, punctuation or its number."""
    alike: dict[str, list[str]] = {}
    for known in classes:
        alike.setdefault(plain_letters(known), []).append(known)
    class_of = {}
    for name in names:
        same = [nfc(name)] if nfc(name) in classes else alike.get(plain_letters(name), [])
        if len(same) == 1:
            class_of[name] = same[0]
    return class_of


def _require_one(file: Path, class_of: dict[str, str], names: Sequence[str], classes: Sequence[str]) -> None:
    if not class_of:
        hint = next((hint for name in names[:COMPARED] if (hint := suggestion(name, classes))), "")
        raise DataError(f"{str(file)!r} names no class of the model.{hint} Its first class is {classes[0]!r}.")
