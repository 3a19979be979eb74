"""Training pictures as they are decoded once, kept in a file for all views and passes that follow.

Decoding takes longer than cutting and resizing a view, and a run shows each picture some fifty times. So the pixels of
the first pictures, as many as the limit holds, are kept uncompressed. Each process that reads a picture first decodes
it and writes it down for the others. The file has no name: it goes with the last process that holds it, however that
ends, and is never out of date. Where the disk is nearly full, pictures are decoded every time, to the same pixels.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from wingbar.images import READ_SIDE, Picture, picture_size, read_picture, shrunk

ROOM = 2e9
"""Bytes that stay free on the disk: a run has other things to write down."""
DONE = b"\1"
"""Marks a picture whose pixels have been written."""


@dataclass(frozen=True)
class StoredPixels:
    """Where a picture's pixels lie in the file, and its size."""

    number: int
    offset: int
    size: tuple[int, int]
    """(width, height) of the original, upright."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pixels kept."""
        width, height = shrunk(self.size, READ_SIDE)
        return height, width, 3


@dataclass(frozen=True)
class DecodedPictures:
    """Reads pictures, and keeps those that have a place. Without any it reads them from their files."""

    places: Mapping[Path, StoredPixels] = field(default_factory=dict)
    file: IO[bytes] | None = None
    """Its descriptor is all that processes share: pixels are read and written at offsets."""

    @staticmethod
    def within(folder: Path, paths: Sequence[Path], sizes: Shaped[ndarray, "n 2"], limit: float) -> DecodedPictures:
        """Keep the first pictures that together need at most ``limit`` GB of ``folder``'s disk.

        ``sizes`` are widths and heights of the upright originals.
        """
        places, offset = {}, len(paths)  # a byte a picture comes first: whether it is there
        for number, (path, (width, height)) in enumerate(zip(paths, sizes.tolist(), strict=True)):
            place = StoredPixels(number, offset, (width, height))
            offset += int(np.prod(place.shape))
            if offset > limit * 1e9:
                break
            places[path] = place
        file = _unnamed(folder) if places else None
        return _closed_at_its_end(DecodedPictures(places, file))

    def size(self, path: Path) -> tuple[int, int]:
        """Width and height of a picture, upright. Raises PictureError."""
        place = self.places.get(path)
        return place.size if place else picture_size(path)

    def read(self, path: Path, needed: int | None = None) -> Picture:
        """A picture as predictions read it: see `read_picture`, also for what is ``needed``. Raises PictureError."""
        place = self.places.get(path)
        if place is None or self.file is None:
            return read_picture(path, READ_SIDE, needed)
        if (kept := self._kept(place)) is not None:
            return Picture(kept, place.size)
        picture = read_picture(path, READ_SIDE)
        if picture.extent is None and picture.pixels.shape == place.shape:
            self._keep(place, picture.pixels)
        return picture

    def _kept(self, place: StoredPixels) -> ndarray | None:
        assert self.file is not None
        if os.pread(self.file.fileno(), 1, place.number) != DONE:
            return None
        content = bytearray(int(np.prod(place.shape)))  # torch wants memory that may be written to
        if os.preadv(self.file.fileno(), [content], place.offset) < len(content):
            return None
        return np.frombuffer(content, np.uint8).reshape(place.shape)

    def _keep(self, place: StoredPixels, pixels: ndarray) -> None:
        assert self.file is not None
        try:
            disk = os.fstatvfs(self.file.fileno())
            if disk.f_bavail * disk.f_frsize < ROOM:
                return
            if os.pwrite(self.file.fileno(), pixels.tobytes(), place.offset) == pixels.nbytes:
                os.pwrite(self.file.fileno(), DONE, place.number)
        except OSError:  # a full disk
            return

    def __reduce__(self) -> tuple[Any, ...]:
        """Sent to a process that is not forked: with a copy of the descriptor."""
        return _received, (self.places, DupFd(self.file.fileno()) if self.file else None)


FILES = DecodedPictures()
"""Reads every picture from its file."""


def _closed_at_its_end(pictures: DecodedPictures) -> DecodedPictures:
    if pictures.file is not None:
        weakref.finalize(pictures, pictures.file.close)
    return pictures


def _unnamed(folder: Path) -> IO[bytes] | None:
    """A file that nobody else finds; None where there can be none, as on Windows."""
    try:
        return tempfile.TemporaryFile(dir=folder if folder.is_dir() else None) if hasattr(os, "preadv") else None
    except OSError:
        return None


def _received(places: Mapping[Path, StoredPixels], descriptor: Any) -> DecodedPictures:
    return _closed_at_its_end(DecodedPictures(places, os.fdopen(descriptor.detach(), "r+b") if descriptor else None))
