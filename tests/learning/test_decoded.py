"""Decoded pictures: read once from their files, and the same pixels ever after."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from multiprocessing import resource_sharer
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wingbar.errors import PictureError
from wingbar.images import READ_SIDE, picture_size, read_picture
from wingbar.learning.decoded import DecodedPictures

KINDS = ("small.jpg", "turned.jpg", "large.jpg", "large.png")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Small, turned by EXIF, and larger than pictures are read."""
    rng, made = np.random.default_rng(0), []
    (tmp_path / "pictures").mkdir()
    for name in KINDS:
        size = (1600, 1200) if "large" in name else (61, 47)
        noise = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(size)
        exif = Image.Exif()
        exif[0x0112] = 6 if "turned" in name else 1
        noise.save(path := tmp_path / "pictures" / name, exif=exif)
        made.append(path)
    return made


def kept(paths: list[Path], folder: Path, limit: float = 1.0) -> DecodedPictures:
    return DecodedPictures.within(folder, paths, np.array([picture_size(path) for path in paths]), limit)


def test_pixels_and_sizes_are_those_of_the_file_the_first_time_and_without_it(
    paths: list[Path], tmp_path: Path
) -> None:
    pictures, expected = kept(paths, tmp_path), [read_picture(path, READ_SIDE) for path in paths]
    for gone in (False, True):
        for path, one in zip(paths, expected, strict=True):
            read = pictures.read(path, needed=8)
            np.testing.assert_array_equal(read.pixels, one.pixels)
            assert read.size == pictures.size(path) == one.size and read.pixels.flags.writeable
            path.unlink(missing_ok=True)
        assert gone or not list((tmp_path / "pictures").iterdir())
    assert [one.name for one in tmp_path.iterdir()] == ["pictures"]


def test_beyond_the_limit_pictures_are_read_from_their_files(paths: list[Path], tmp_path: Path) -> None:
    pictures = kept(paths, tmp_path, limit=2 * 61 * 47 * 3 / 1e9 + 1e-7)
    for path in paths:
        pictures.read(path)
        path.unlink()
    for path, is_kept in zip(paths, (True, True, False, False), strict=True):
        if is_kept:
            pictures.read(path)
        else:
            with pytest.raises(PictureError, match="no such file"):
                pictures.read(path)


def test_without_room_nothing_is_kept(paths: list[Path], tmp_path: Path) -> None:
    pictures = kept(paths, tmp_path, limit=0)
    assert not pictures.places and pictures.file is None
    assert pictures.read(paths[0]).size == pictures.size(paths[0]) == (61, 47)


def test_a_full_disk_costs_time_and_nothing_else(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    pictures, pwrite = kept(paths, tmp_path), os.pwrite
    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(2):
        assert pictures.read(paths[0]).pixels.shape == (47, 61, 3)
    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr("wingbar.learning.decoded.ROOM", float("inf"))
    pictures.read(paths[0])
    paths[0].unlink()
    with pytest.raises(PictureError, match="no such file"):  # nothing was written down
        pictures.read(paths[0])


def test_a_picture_that_is_no_longer_as_large_is_not_kept(paths: list[Path], tmp_path: Path) -> None:
    pictures = kept(paths, tmp_path)
    Image.new("RGB", (5, 4)).save(paths[0])
    assert pictures.read(paths[0]).pixels.shape == pictures.read(paths[0]).pixels.shape == (4, 5, 3)


@pytest.fixture
def sharing() -> Iterator[None]:
    """What sends descriptors to other processes ends with the test."""
    yield
    resource_sharer.stop(timeout=10)


@pytest.mark.usefixtures("sharing")
def test_a_process_that_was_not_forked_has_them_too(paths: list[Path], tmp_path: Path) -> None:
    pictures = kept(paths, tmp_path)
    expected = pictures.read(paths[0]).pixels
    sent: DecodedPictures = ForkingPickler.loads(ForkingPickler.dumps(pictures))
    paths[0].unlink()
    np.testing.assert_array_equal(sent.read(paths[0]).pixels, expected)
