"""Small pictures as files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from wingbar.guide.thumbnails import SIDE, Thumbnails


def picture(path: Path, size: tuple[int, int] = (900, 600)) -> Path:
    """Grey, with a red square at (300, 200, 500, 400)."""
    pixels = np.full((size[1], size[0], 3), 128, np.uint8)
    pixels[200:400, 300:500] = (250, 0, 0)
    Image.fromarray(pixels).save(path)
    return path


def test_whole_and_crop_show_what_they_say(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "guide")
    path = picture(tmp_path / 'a"><script>.png')
    whole, crop = thumbnails.whole(path), thumbnails.crop(path, (320, 220, 480, 380))
    assert whole is not None and crop is not None
    assert (whole.width, whole.height) == (SIDE, round(SIDE * 600 / 900)) and (crop.width, crop.height) == (192, 192)
    for one in (whole, crop):
        assert re.fullmatch(r"pictures/[0-9a-f]{20}\.jpg", one.src)
    with Image.open(tmp_path / "guide" / crop.src) as image:
        shown = np.asarray(image, int)
    assert (shown[20:-20, 20:-20, 0] - shown[20:-20, 20:-20, 1]).min() > 180  # red through and through


def test_nothing_is_made_twice_and_the_unused_is_swept(tmp_path: Path) -> None:
    path, folder = picture(tmp_path / "a.png"), tmp_path / "guide"
    first = Thumbnails(folder)
    whole, crop = first.whole(path), first.crop(path, (0, 0, 200, 200))
    assert whole is not None and crop is not None
    stamp = (folder / whole.src).stat().st_mtime_ns
    second = Thumbnails(folder)
    assert second.whole(path) == whole and (folder / whole.src).stat().st_mtime_ns == stamp
    second.sweep()
    assert [file.name for file in (folder / "pictures").iterdir()] == [Path(whole.src).name]


def test_what_cannot_be_read_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    thumbnails = Thumbnails(tmp_path / "guide")
    assert thumbnails.whole(tmp_path / "a.png") is None and thumbnails.whole(tmp_path / "gone.png") is None
    assert thumbnails.used == set()


def test_a_changed_picture_has_a_new_thumbnail(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    before = Thumbnails(tmp_path / "guide").whole(path)
    picture(path, (800, 600))
    after = Thumbnails(tmp_path / "guide").whole(path)
    assert before is not None and after is not None and before.src != after.src
