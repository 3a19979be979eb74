"""Text lists as the owners of data sets publish them: lines of fields, errors with file and line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wingbar._system.text import nfc
from wingbar.data.checks import listed_key, quoted
from wingbar.errors import DataError


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a list, cut into fields."""

    file: Path
    number: int
    fields: list[str]

    def error(self, problem: str) -> DataError:
        """What is wrong with this line."""
        return DataError(f"{str(self.file)!r}, line {self.number}: {problem}. Correct or remove that line.")

    def integer(self, column: int) -> int:
        """A field as a whole number, 0 or more."""
        text = self.fields[column]
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise self.error(f"{quoted(text)} is not a whole number")
        return int(text)

    def real(self, column: int) -> float:
        """A field as a finite number."""
        try:
            value = float(self.fields[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{quoted(self.fields[column])} is not a number")
        return value

    def key(self, column: int) -> str:
        """A field as a path that stays inside the data set's folder."""
        try:
            return listed_key(self.fields[column])
        except ValueError as error:
            raise self.error(str(error)) from None


def read_lines(file: Path, fields: int, layout: str, remedy: str = "") -> Iterator[Line]:
    """The lines that are neither blank nor comments (``#``), each cut into ``fields`` fields; the last may hold spaces.

    Raises DataError where the file is missing, is no UTF-8 text, or a line is too short.
    """
    if not file.is_file():
        raise DataError(f"{str(file)!r} is missing, which the layout of {layout} needs. Restore it{remedy}.")
    try:
        text = nfc(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(f"{str(file)!r} cannot be read as UTF-8 text: {error}. Restore the file.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        parts = line.strip(" \t\r").split(maxsplit=fields - 1)
        if parts and not parts[0].startswith("#"):
            cut = Line(file, number, parts)
            if len(parts) < fields:
                raise cut.error(f"{fields} fields expected, found {len(parts)}")
            yield cut
