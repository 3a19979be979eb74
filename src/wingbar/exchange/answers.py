"""Kept answers as records: those of `predict-many`, of `predict --json`, or the human ones in Label Studio's export.

Files of answers may come from anywhere, so each row is checked: what is not of its kind is refused with file and line.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from wingbar.boxes import Box
from wingbar.bulk.answers import Format, Row, decode, require
from wingbar.bulk.chunks import CHUNK
from wingbar.data.checks import quoted
from wingbar.errors import DataError

LeaveOut = Callable[[str, str], None]
"""Is called with the path of each picture that is left out, and the reason."""


@dataclass(frozen=True)
class PictureAnswer:
    """What a picture shows. A human's answer has a path and a label alone."""

    path: str
    """Within the folder of pictures, with forward slashes."""
    label: str
    score: float | None = None
    """Probability of the label."""
    scores: dict[str, float] = field(default_factory=dict)
    """Label -> probability, the likeliest first, as many as were kept."""
    candidates: tuple[str, ...] = ()
    """The likeliest classes, as many as hold the true one nine times in ten."""
    known: float | None = None
    stranger: bool = False
    """Whether it seems to show none of the classes; then ``label`` is the one that it looks most like."""
    size: tuple[int, int] = (0, 0)
    """(width, height) in pixels."""
    box: Box = (0, 0, 0, 0)
    """Of the object: x1, y1, x2, y2 in pixels, half-open."""
    parts: tuple[tuple[str, Box], ...] = ()
    """Name and box of each part."""


def read_answers(source: Path, leave_out: LeaveOut) -> Iterator[PictureAnswer]:
    """The answers of a folder that `predict-many` wrote, or of one file of them.

    ``leave_out`` is called for each picture that could not be read. Raises DataError for what is no file of answers.
    """
    files = sorted(path for path in source.iterdir() if CHUNK.fullmatch(path.name)) if source.is_dir() else [source]
    if not files:
        raise DataError(f"{str(source)!r}: no answers in it. Give the folder that `predict-many --out` wrote.")
    for file in files:
        for number, row in enumerate(_rows(file), 1):
            try:
                if "error" in row:
                    leave_out(_path(row), "it could not be read")
                else:
                    yield _answer(row)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(
                    f"{str(file)!r}, answer {number}: no answer of Wingbar's ({quoted(str(error))}). "
                    "Give the folder that `predict-many --out` wrote, as it was written."
                ) from None


def _rows(file: Path) -> list[Row]:
    form: Format = "parquet" if file.suffix == ".parquet" else "jsonl"
    require(form)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{str(file)!r} cannot be read ({error.strerror}).") from None
    try:
        return decode(content, form)
    except (ValueError, OSError, RecursionError) as error:  # pyarrow calls some damage an OSError
        raise DataError(
            f"{str(file)!r}: no file of answers ({quoted(str(error))}). Give the folder that `predict-many --out` "
            "wrote, a .jsonl or .parquet file of it, or Label Studio's export as JSON."
        ) from None


def _answer(row: Row) -> PictureAnswer:
    scores = {str(label): _share(score) for label, score in row["scores"].items()}
    known = row.get("known")
    width, height = (_whole(value, least=1) for value in row["size"])
    parts = [(_text(part["name"]), _box(part["box"], (width, height))) for part in row["parts"]]
    return PictureAnswer(
        _path(row), _text(row["label"]), _share(row["score"]), scores,
        tuple(_text(label) for label in row.get("candidates", ())),
        None if known is None else _share(known), row.get("stranger") is True, (width, height),
        _box(row["object_box"], (width, height)), tuple(parts),
    )  # fmt: skip


def _path(row: Row) -> str:
    return inside(_text(row["path"]))


def inside(path: str) -> str:
    """``path``, which must not lead out of the folder that it starts at. Raises ValueError.

    An absolute path, as `predict --json` writes it, is taken as it stands.
    """
    if not path or "\0" in path or ".." in PurePosixPath(path).parts:
        raise ValueError(f"the path {quoted(path)}")
    os.fsencode(path)  # letters that no file's name has
    return path


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no text")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no probability")
    return float(value)


def _whole(value: Any, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 31:
        raise ValueError(f"{value!r} is no number of pixels")
    return value


def _box(value: Any, size: tuple[int, int]) -> Box:
    x1, y1, x2, y2 = (_whole(corner) for corner in value)
    if not (x1 < x2 <= size[0] and y1 < y2 <= size[1]):
        raise ValueError(f"the box {value!r} is not inside a picture of {size}")
    return x1, y1, x2, y2


def begins_as_json(file: Path) -> bool:
    """Whether a file holds a JSON list, as Label Studio exports tasks, and not a row a line."""
    try:
        with file.open("rb") as stream:
            return re.match(rb"(\xef\xbb\xbf)?\s*\[", stream.read(64)) is not None
    except OSError as error:
        raise DataError(f"{str(file)!r} cannot be read ({error.strerror}).") from None


def to_json(value: Any) -> bytes:
    """JSON as other programs read it."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
