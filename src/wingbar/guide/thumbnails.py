"""Thumbnails in files. A thumbnail's name is a checksum of what it shows, so that a later guide can reuse the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from wingbar._system.files import digest, write_bytes
from wingbar.boxes import Box, rescale, with_context
from wingbar.errors import PictureError
from wingbar.images import Picture, read_picture, small_jpeg

SIDE = 320
"""The largest length of a thumbnail's longer side, in pixels."""
CROP = 200
"""The side of a part's square crop, in pixels."""
READ = 640
"""The short side that pictures are decoded at, in pixels: a part of a third of it still fills its crop."""


@dataclass(frozen=True)
class Thumbnail:
    """A file, relative to the guide's folder, and its size in pixels."""

    src: str
    width: int
    height: int


class Thumbnails:
    """Makes thumbnails in ``folder/pictures``, and records which are in use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()
        self._read: tuple[Path, Picture] | None = None

    def whole(self, path: Path) -> Thumbnail | None:
        """A thumbnail of the whole picture; None if the picture cannot be read."""
        return self._made(path, None)

    def crop(self, path: Path, box: Box) -> Thumbnail | None:
        """A thumbnail of a box, in pixels, with a margin of context; None if the picture cannot be read."""
        return self._made(path, box)

    def sweep(self) -> None:
        """Delete the thumbnails that no page uses."""
        for file in (self.folder / "pictures").glob("*.jpg"):
            if file.name not in self.used:
                file.unlink()

    def _made(self, path: Path, box: Box | None) -> Thumbnail | None:
        try:
            status = path.stat()
            name = digest(str(path), status.st_size, status.st_mtime_ns, box, SIDE, CROP)[:20] + ".jpg"
            target = self.folder / "pictures" / name
            if not target.exists():
                write_bytes(target, encoded(self._picture(path), box))
            with Image.open(target) as image:
                width, height = image.size
        except (OSError, ValueError, PictureError):
            return None
        self.used.add(name)
        return Thumbnail(f"pictures/{name}", width, height)

    def _picture(self, path: Path) -> Picture:
        # Pages request the whole and the parts of a picture one after the other, so the last picture is kept.
        if self._read is None or self._read[0] != path:
            self._read = path, read_picture(path, short_side=READ)
        return self._read[1]


def encoded(picture: Picture, box: Box | None) -> bytes:
    """Encode the picture as a JPEG, or a box of it, which is given in pixels of the original file."""
    if box is None:
        return small_jpeg(picture, SIDE)
    height, width = picture.pixels.shape[:2]
    x1, y1, x2, y2 = rescale(np.array(with_context(box, picture.size, 0.1)), picture.size, (width, height)).tolist()
    return small_jpeg(Picture(picture.pixels[y1:y2, x1:x2], (x2 - x1, y2 - y1)), CROP)
