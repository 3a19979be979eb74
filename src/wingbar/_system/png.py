"""PNG files without the chunks that no pixel depends on, such as texts and colour profiles.

Pillow refuses a PNG whose text or profile unpacks to more than a mebibyte, or has a wrong checksum, although the pixels
are sound. Such chunks are common: editors write their history, generators their prompts, printers their profiles.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

File = io.BytesIO | io.BufferedReader
SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHAPING = (b"tRNS",)
"""Chunks that change pixels without being critical: transparency."""
TURNING = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
"""Chunks that may say which side is up."""
MAX_CHUNKS = 100_000
"""Chunks that are looked at; what follows stays as it is. As many hold the largest pictures in pieces of 8 KiB."""
MAX_NOTES = 1 << 20
"""Bytes of `TURNING` chunks that are kept at most, all together and unfolded; far more than EXIF takes."""


def without_notes(file: File) -> File:
    """The PNG in ``file`` without the chunks that no pixel depends on, nothing copied; any other file as it is.

    What is damaged or cut short stays so: the decoder has to find it.
    """
    start = file.read(len(SIGNATURE))
    pieces = list(_joined(_needed(file))) if start == SIGNATURE else []
    file.seek(0)
    return io.BufferedReader(_Pieces(file, pieces)) if len(pieces) > 1 else file


def _needed(file: File) -> Iterator[tuple[int, int]]:
    """(start, end) of the signature and of each chunk to keep; of all that follows one cut short, or the last."""
    end = file.seek(0, os.SEEK_END)
    at, notes = len(SIGNATURE), 0
    yield 0, at
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        head = file.read(8)
        length, kind = struct.unpack(">I4s", head) if len(head) == 8 else (end, b"")
        if at + 12 + length > end or kind == b"IEND":
            break
        needed = kind[:1].isupper() or kind in SHAPING
        if kind in TURNING and notes + length <= MAX_NOTES:
            unfolded = _unfolded(kind, file.read(length), file.read(4))
            needed = notes + unfolded <= MAX_NOTES
            notes += unfolded * needed
        if needed:
            yield at, at + 12 + length
        at += 12 + length
    yield at, end


def _unfolded(kind: bytes, content: bytes, checksum: bytes) -> int:
    """Bytes that a note takes in memory; more than `MAX_NOTES` for a damaged one. No more is ever unfolded."""
    if struct.pack(">I", zlib.crc32(kind + content)) != checksum:
        return MAX_NOTES + 1
    if kind not in (b"zTXt", b"iTXt"):
        return len(content)
    keyword, _, rest = content.partition(b"\0")
    if kind == b"zTXt":
        packed = rest[1:]
    elif rest[:1] == b"\1":
        packed = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        return len(content)
    try:
        return len(keyword) + len(zlib.decompressobj().decompress(packed, MAX_NOTES + 1))
    except zlib.error:
        return MAX_NOTES + 1


def _joined(pieces: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Pieces that follow one another without a gap as one; empty ones left out."""
    begun, stop = next(pieces)
    for start, end in pieces:
        if start != stop:
            yield begun, stop
            begun = start
        stop = end
    if stop > begun:
        yield begun, stop


class _Pieces(io.RawIOBase):
    """Some pieces of a file, as a file."""

    def __init__(self, file: File, pieces: list[tuple[int, int]]) -> None:
        self._file, self._pieces, self._at = file, pieces, 0
        self._ends = list(accumulate(end - start for start, end in pieces))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._ends[-1]}[whence])
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # all that io.BufferedReader gives it
        index = bisect_right(self._ends, self._at)
        if index == len(self._ends):
            return 0
        left = self._ends[index] - self._at
        self._file.seek(self._pieces[index][1] - left)
        content = self._file.read(min(len(buffer), left))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)
