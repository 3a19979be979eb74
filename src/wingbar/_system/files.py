"""Files that are written completely or not at all: to a temporary name, flushed to the disk, then renamed.

A record is a JSON object with a checksum of its content. The temporary files of a killed writer end in ``.partial``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wingbar.errors import RunError

PARTIAL = ".partial"
OUTPUT_MARK = ".wingbar-output"
"""A file of this name says that Wingbar wrote the folder that it lies in."""
NO_FLUSH = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF)
"""What file systems over a network answer that cannot flush a file, or the names in a folder."""
_MARK_TEXT = "Wingbar wrote this folder, and looks for no pictures in it. Remove this file if it should.\n"
_OUTPUT_FILES = (OUTPUT_MARK, "recognizer.json")
"""The mark, and the file that a model folder has wherever it is moved to."""


def make_folder(folder: Path) -> None:
    """Make a folder for results, before they are computed, and mark it. Raises RunError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: no folder can be made there ({error.strerror}); choose another place.") from None
    mark_output(folder)


def mark_output(folder: Path) -> None:
    """Mark a folder as written by Wingbar, so that it is not read as part of a data set.

    A folder that had files before, other than ours or plain logs, stays unmarked: it may be the user's pictures.
    """
    with suppress(OSError):
        if not any(_is_the_users(path) for path in folder.iterdir()):
            with (folder / OUTPUT_MARK).open("x", encoding="utf-8") as file:
                file.write(_MARK_TEXT)


def is_output(folder: Path) -> bool:
    """Whether Wingbar wrote a folder: a run, a model, drawings, a check's sheet, an export, or answers."""
    return any(os.path.isfile(folder / name) for name in _OUTPUT_FILES)  # noqa: PTH113 # pathlib raises without permission


def _is_the_users(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() not in ("", ".log", ".txt", PARTIAL)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within the context, raise RunError instead of OSError for a full disk or a read-only folder."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}). Nothing half-written is left, and what was "
            "finished before is kept: make room or give write access, then give the same command again."
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file completely or not at all, and make its folder. Raises RunError where that is not possible."""
    partial = path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                _flush(file.fileno())
            partial.replace(path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
        _flush_names(path.parent)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill. At the end it replaces ``folder``; after an error ``folder`` is unchanged."""
    fresh, old = _fresh_and_old(folder)
    sweep(folder.parent)
    with writing(folder):
        try:
            fresh.mkdir(parents=True)
            yield fresh
            if folder.exists():
                folder.rename(old)
            fresh.rename(folder)
            _flush_names(folder.parent)
        finally:
            sweep(folder.parent)


def sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder, and restore a folder that was half replaced.

    No other process may be writing there.
    """
    for old in folder.glob(f"*.old{PARTIAL}"):
        place = old.with_name(old.name.removesuffix(f".old{PARTIAL}"))
        if not place.exists():
            old.rename(place)
    for left in folder.glob(f"*{PARTIAL}"):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _fresh_and_old(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f"{folder.name}.new{PARTIAL}"), folder.with_name(f"{folder.name}.old{PARTIAL}")


def _flush_names(folder: Path) -> None:
    """Flush a folder's names to the disk, so that a renaming survives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _flush(handle)
    finally:
        os.close(handle)


def _flush(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FLUSH:
            raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of a JSON value. Raises ValueError for nan and infinity, which JSON does not have."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # File names that are no UTF-8 hold lone surrogates: written as JSON's own escapes, they are read as they were.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_record(path: Path, record: dict[str, Any]) -> None:
    """`write_json` of an object and of the checksum of all that is in it."""
    write_json(path, {**record, "checksum": _checksum(json.loads(json.dumps(record)))})


def read_record(path: Path) -> dict[str, Any]:
    """The object that `write_record` wrote, without its checksum. Raises OSError, or ValueError for a damaged one.

    A record without a checksum is read as it is.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict):
        raise ValueError("no JSON object")
    if "checksum" in record and record.pop("checksum") != _checksum(record):
        raise ValueError("its checksum does not hold")
    return record


def _checksum(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def digest(*values: Any) -> str:
    """A short SHA-256 of JSON-able values."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
