"""Small pictures as files. A thumbnail is named by what it shows, so a second guide makes none of them again."""

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
"""Longer side of a thumbnail at most, in pixels."""
CROP = 200
"""Side of a part's square crop, in pixels."""
READ = 640
"""Short side that pictures are read at: a part of a third of it still fills its crop."""


@dataclass(frozen=True)
class Thumbnail:
    """A file below the guide's folder, and its size in pixels."""

    src: str
    width: int
    height: int


class Thumbnails:
    """Makes thumbnails in ``folder/pictures`` and knows which are in use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.used: set[str] = set()
        self._read: tuple[Path, Picture] | None = None

    def whole(self, path: Path) -> Thumbnail | None:
        """The picture, shrunk; None if it cannot be read."""
        return self._made(path, None)

    def crop(self, path: Path, box: Box) -> Thumbnail | None:
        """What a box shows, with a little context, nearly square; None if the picture cannot be read."""
        return self._made(path, box)

    def sweep(self) -> None:
        """Delete the pictures that no page shows any longer."""
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
        # Pages ask for the whole and the parts of a picture one after the other.
        if self._read is None or self._read[0] != path:
            self._read = path, read_picture(path, short_side=READ)
        return self._read[1]


def encoded(picture: Picture, box: Box | None) -> bytes:
    """A JPEG of the picture, or of a box of it in pixels of the original."""
    if box is None:
        return small_jpeg(picture, SIDE)
    height, width = picture.pixels.shape[:2]
    x1, y1, x2, y2 = rescale(np.array(with_context(box, picture.size, 0.1)), picture.size, (width, height)).tolist()
    return small_jpeg(Picture(picture.pixels[y1:y2, x1:x2], (x2 - x1, y2 - y1)), CROP)
