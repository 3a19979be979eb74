"""Files that are complete or not there: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from wingbar.errors import RunError


def make_folder(folder: Path) -> None:
    """Make a folder for results, before they are computed. Raises RunError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: no folder can be made there ({error.strerror}); choose another --out.") from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of a JSON value. Raises ValueError for nan and infinity, which JSON does not have."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    # File names that are no UTF-8 hold lone surrogates: written as JSON's own escapes, they are read as they were.
    write_bytes(path, text.encode("utf-8", "backslashreplace"))
