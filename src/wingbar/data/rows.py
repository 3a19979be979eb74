"""Tables of pictures as spreadsheets and other programs write them: rows by column, and paths that stay in one folder.

Read are comma, semicolon, tab and ``|`` as separators (told by the header, or by a first line ``sep=;``), UTF-8 with
and without a byte order mark, UTF-16 with one, blank rows, and paths with backslashes.

A path starts at one folder, the root: the table's own, or the one that the user names (``--images-root``). Absolute
paths, and those with ``..``, which start at the table's folder where they lead out of the root, are read where they
end inside the root. Any other is refused, so that no table makes a program read a file elsewhere.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from wingbar._system.text import nfc, several, visible
from wingbar.data.checks import named, quoted
from wingbar.data.folders import Finder
from wingbar.errors import DataError, suggestion

TABLES = (".csv", ".tsv")
"""How names of tables end."""
SEPARATORS = (",", ";", "\t", "|")
MAX_HEADER = 1 << 17
"""Letters in the line of column names."""
MAX_PARTS = 64
"""Folders of a path that are tried as the beginning that it should lose."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it ends in the file, and its values by column, without blanks around them."""

    line: int
    values: dict[str, str]


def line_error(file: Path, line: int, problem: object, remedy: str = "Correct or remove that line.") -> DataError:
    """The error for one line of a table."""
    return DataError(f"{str(file)!r}, line {line}: {problem}. {remedy}")


def read_rows(file: Path, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> Iterator[Row]:
    """The rows of a table that are not blank. Its columns may stand in any order; others are handed on as well.

    Raises DataError, with the line, for a damaged table and for one that lacks a ``needed`` column.
    """
    reader, header = csv.reader([]), 0
    try:
        with file.open(encoding=_encoding(file), newline="") as stream:
            columns, separator, header = _header(file, stream, needed, optional)
            reader = csv.reader(stream, delimiter=separator, strict=True, skipinitialspace=True)
            for fields in reader:
                line = header + reader.line_num
                if not any(field.strip() for field in fields):
                    continue
                while len(fields) > len(columns) and not fields[-1].strip():
                    fields.pop()
                if len(fields) != len(columns):
                    counts = f"{several(len(fields), 'field')}, but {several(len(columns), 'column')}"
                    problem = f"{counts} (quote values that hold {separator!r})"
                    raise line_error(file, line, problem)
                yield Row(line, {name: text.strip() for name, text in zip(columns, fields, strict=True)})
    except csv.Error as error:
        where = f"{str(file)!r}, line {header + reader.line_num}"
        raise DataError(f"{where}: {error}. Save it as plain comma-separated text.") from None
    except UnicodeError as error:
        raise DataError(f"{str(file)!r}: no UTF-8 text ({error}). Save it as comma-separated UTF-8.") from None
    except OSError as error:
        raise DataError(f"{str(file)!r} cannot be read ({error.strerror}). Check its permissions.") from None


def _encoding(file: Path) -> str:
    with file.open("rb") as stream:
        return "utf-16" if stream.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _header(
    file: Path, stream: IO[str], needed: tuple[str, ...], optional: tuple[str, ...]
) -> tuple[list[str], str, int]:
    """The column names in lower case, the separator, and the number of the line they stand in."""
    text, line = stream.readline(MAX_HEADER), 1
    separators: tuple[str, ...] = SEPARATORS
    if match := re.fullmatch(r'"?sep=([,;\t|])"?,?', text.strip(), re.IGNORECASE):  # as Excel writes and reads it
        separators, text, line = (match[1],), stream.readline(MAX_HEADER), 2
    where, known = f"{str(file)!r}, line {line}", (*needed, *optional)
    begin = _first_line(needed, known)
    if len(text) >= MAX_HEADER:
        raise DataError(f"{where}: longer than any header. {begin}")
    headers = {mark: columns for mark in separators if (columns := _columns(text, mark)) is not None}
    if not headers:
        raise DataError(f"{where}: its quotes do not end. {begin}")
    separator = max(headers, key=lambda mark: (len({*needed} & {*headers[mark]}), len(headers[mark])))
    columns = headers[separator]
    if not any(columns):
        raise DataError(f"{where}: no header. {begin}")
    for name in known:
        if columns.count(name) > 1:
            raise DataError(f"{where}: the column {name!r} is there twice. Keep one of them.")
    missing = [name for name in known if name not in columns]
    for column in columns:  # a mistyped "split" must not pass as one of the columns to ignore
        if column not in known and (hint := suggestion(column, missing)):
            raise DataError(f"{where}: unknown column {quoted(column)}.{hint} Rename it.")
    if lacking := [name for name in missing if name in needed]:
        begin = _first_line(needed, known, separator if len(columns) > 1 else ",")
        remedy = f"Rename one of them; if there is no header: {begin}"
        raise DataError(f"{where}: no column {lacking[0]!r} among {named(columns)}. {remedy}")
    return columns, separator, line


def _first_line(needed: tuple[str, ...], known: tuple[str, ...], separator: str = ",") -> str:
    """The remedy for a table without a header, in the separator of its rows."""
    lines = " or ".join(repr(separator.join(names)) for names in dict.fromkeys((needed, known)))
    return f"Begin the table with the line {lines}" + (r" (\t is a tab)." if separator == "\t" else ".")


def _columns(text: str, separator: str) -> list[str] | None:
    reader = csv.reader([text], delimiter=separator, strict=True, skipinitialspace=True)
    try:
        return [column.strip().lower() for column in next(reader, [])]
    except csv.Error:
        return None


class PathProblem(ValueError):
    """A path that is not read, and why; ``target`` is where it leads, where that is a place on some disk."""

    def __init__(self, text: str, reason: str, target: PurePosixPath | None = None) -> None:
        super().__init__(f"{quoted(text)} {reason}")
        self.text, self.target = text, target


class Places:
    """Resolves the paths of a table, which must lie below one folder."""

    def __init__(self, file: Path, root: Path | None = None) -> None:
        """``root`` is the folder that the user names; by default the paths start at the table's own."""
        self.file, self.folder = file, Path(os.path.normpath(file.parent.absolute()))
        self.root = self.folder if root is None else Path(os.path.normpath(root.absolute()))
        self._roots = {self.root, self.root.resolve()}
        self._finder = Finder(self.root)

    def place(self, text: str) -> tuple[str, Path]:
        """A path as written -> its key (relative to the root, forward slashes, NFC) and the file.

        Raises PathProblem for what leads out of the root, and another ValueError for what is no path; DataError where
        this Python does not read names as UTF-8.
        """
        if not text or "\0" in text:
            raise ValueError(f"{quoted(text)} is no path")
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
            raise PathProblem(text, "is a web address, and Wingbar fetches no pictures")
        outside = f"is not inside the folder {str(self.root)!r}"
        if PureWindowsPath(text).drive:
            raise PathProblem(text, outside, PurePosixPath(text.replace("\\", "/")))
        if "\\" in text and not os.path.lexists(self.root / text):
            text = text.replace("\\", "/")
        for start in (self.root, self.folder):  # neither counts before an absolute path
            path = Path(os.path.normpath(start / text))
            for root in self._roots:
                if path != root and path.is_relative_to(root):
                    relative = path.relative_to(root).as_posix()
                    return nfc(relative), self._finder.path(relative)
        raise PathProblem(text, outside, PurePosixPath(path))

    def rows(self, rows: Iterator[Row]) -> Iterator[tuple[Row, str, Path]]:
        """Each row with its picture's key and file. Raises DataError, with one remedy where all rows need it."""
        for number, row in enumerate(rows):
            try:
                key, path = self.place(row.values["path"])
            except PathProblem as problem:
                table_error = self._refusal(row, problem, rows) if number == 0 else None
                raise (table_error or line_error(self.file, row.line, problem)) from None
            except DataError:
                raise
            except ValueError as error:
                raise line_error(self.file, row.line, error) from None
            yield row, key, path

    def _refusal(self, first: Row, problem: PathProblem, others: Iterator[Row]) -> DataError | None:
        """The error for a table none of whose paths can be read; None where one of the ``others`` can."""
        count, folder = 1, problem.target and problem.target.parent
        for row in others:
            try:
                self.place(row.values["path"])
            except PathProblem as another:
                count, folder = count + 1, _common(folder, another.target and another.target.parent)
            except ValueError:
                return None
            else:
                return None
        paths = f"none of its {count} paths can be read: " if count > 1 else ""
        return DataError(f"{str(self.file)!r}, line {first.line}: {paths}{problem}. {self._remedy(problem, folder)}")

    def _remedy(self, problem: PathProblem, folder: PurePosixPath | None) -> str:
        """What helps all rows of a table alike; ``folder`` is the one that all their pictures lie in."""
        if problem.target is None:
            return "Download the pictures, and write the paths of their files."
        written = problem.text.replace("\\", "/")
        for start in range(1, min(len(problem.target.parts), MAX_PARTS)):
            tail = "/".join(problem.target.parts[start:])
            if written.endswith(tail) and os.path.lexists(self.root / tail):
                beginning = visible(problem.text[: -len(tail)][-200:])
                return f"Take the beginning '{beginning}' off all paths: they start at that folder."
        if folder is not None and len(folder.parts) > 2 and Path(folder).is_dir():
            option = f"--images-root {shlex.quote(str(folder))}"
            return f"Name the folder that the pictures lie in: {option} (in Python, root=...)."
        return "Write all paths so that they start at that folder, or name another: --images-root FOLDER."


def _common(a: PurePosixPath | None, b: PurePosixPath | None) -> PurePosixPath | None:
    """The folder that both folders are or lie in; None where there is none."""
    if a is None or b is None or a.is_absolute() != b.is_absolute():
        return None
    return PurePosixPath(os.path.commonpath([a, b]))
