"""MATLAB files as the owners of data sets publish them: plain arrays and names, read in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from wingbar._system.text import visible
from wingbar.errors import DataError

MAX_BYTES = 32 << 20
"""The largest of the published lists has one or two MB."""
PATIENCE = 120
"""Seconds; a second is usual."""


def read_matlab(file: Path, *names: str) -> dict[str, list[Any]]:
    """Variables of a MATLAB file (version 7.2 or older): lists of whole numbers or texts, or of records of these.

    What is neither is None. Raises DataError where the file is missing, too large, damaged, or lacks a variable.
    """
    if not file.is_file():
        raise DataError(f"{str(file)!r} is missing. Restore it.")
    if file.stat().st_size > MAX_BYTES:
        raise DataError(f"{str(file)!r} is larger than {MAX_BYTES >> 20} MiB: not the published file. Restore it.")
    try:
        found = _in_a_child(file, names)
    except ValueError as error:
        reason = visible(str(error).strip()[-200:])
        raise DataError(f"{str(file)!r} cannot be read as a MATLAB file ({reason}). Restore it.") from None
    for name in names:
        if not found.get(name):
            problem = "is empty" if name in found else "is not in it"
            raise DataError(f"{str(file)!r}: the variable {name!r} {problem}: not the published file. Restore it.")
    return found


def _in_a_child(file: Path, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """What `_matlab_child` prints. Raises ValueError with the reason where it fails, crashes or does not end."""
    child = Path(__file__).with_name("_matlab_child.py")
    command = [sys.executable, "-P", str(child), str(file), *names]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise ValueError(f"not read within {PATIENCE} s") from None
    if done.returncode:
        raise ValueError(done.stderr.decode(errors="replace") if done.returncode > 0 else "its reader crashed")
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


def whole_number(value: Any, where: str) -> int:
    """A value as a whole number of 0 or more. Raises DataError, beginning with ``where``."""
    if isinstance(value, int) and 0 <= value < 2**53:
        return value
    raise DataError(f"{where}: no whole number. Restore the file.")


def whole_numbers(file: Path, name: str, values: list[Any]) -> list[int]:
    """A variable of whole numbers."""
    return [whole_number(value, f"{str(file)!r}, {name} {row}") for row, value in enumerate(values, 1)]


def text(value: Any, where: str) -> str:
    """A value as a text, without blanks around it. Raises DataError, beginning with ``where``."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise DataError(f"{where}: no text. Restore the file.")


def texts(file: Path, name: str, values: list[Any]) -> list[str]:
    """A variable of texts."""
    return [text(value, f"{str(file)!r}, {name} {row}") for row, value in enumerate(values, 1)]


def records(file: Path, name: str, fields: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """A struct array: where each element stands, and its fields. Raises DataError where it lacks one of ``fields``."""
    rows = read_matlab(file, name)[name]
    for field in fields:
        if not isinstance(rows[0], dict) or field not in rows[0]:
            raise DataError(f"{str(file)!r}: {name!r} has no field {field!r}: not the published file. Restore it.")
    return [(f"{str(file)!r}, {name} {row}", record) for row, record in enumerate(rows, 1)]
