"""Chunks: the files of answers, and which pictures each of them answers.

A chunk holds the answers to ``size`` pictures in the order in which they are listed; the last chunk holds the rest. Its
file name consists of its number and a digest of everything that its content depends on: the model and the settings
(``key``), and the names of the pictures. So a file with that name need not be written again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

CHUNK = re.compile(r"\d{6,}-[0-9a-f]{12}\.[a-z]+")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Chunk:
    """A file of answers."""

    file: str
    count: int
    """Pictures in it."""


def cut(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """``items`` in lists of ``size``, the last one shorter."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def chunk(number: int, names: Sequence[str], key: str, suffix: str) -> Chunk:
    """The chunk of this number, which answers the pictures of these ``names``."""
    digest = hashlib.sha256()
    for text in (key, *names):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return Chunk(f"{number:06d}-{digest.hexdigest()[:12]}.{suffix}", len(names))


def number_of(file: str) -> int:
    """The number in a chunk's name."""
    return int(file.partition("-")[0])


def foreign_chunks(files: Iterable[str], plan: Iterable[Chunk]) -> list[str]:
    """Those ``files`` that are chunks but not in the ``plan``: answers to other pictures, or of another model."""
    planned = {chunk.file for chunk in plan}
    return sorted(file for file in files if CHUNK.fullmatch(file) and file not in planned)
