from __future__ import annotations

import io
import os
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from wingbar import images
from wingbar.errors import PictureError
from wingbar.images import crop_square, picture_size, read_picture

WIDTH, HEIGHT = 61, 45


def scene(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Smooth, and different in every corner, so that turns and shifts show."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    colours = np.stack([x, y, (x + y) / 2], axis=-1) * 255
    return Image.fromarray(colours.astype(np.uint8))


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def on_disk(folder: Path, data: bytes, name: str = "picture.jpg") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def png_header(width: int, height: int) -> bytes:
    """A valid PNG of a few hundred bytes that claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    shape = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", shape) + body + chunk(b"IEND", b"")


ENCODINGS = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {}),
    "ppm": ("PPM", {}),
}


@pytest.mark.parametrize("kind", ENCODINGS)
def test_each_format_loads_as_pillow_decodes_it(kind: str, tmp_path: Path) -> None:
    format, options = ENCODINGS[kind]
    data = encoded(scene(), format, **options)
    path = on_disk(tmp_path, data, "name without the right extension.jpg")
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    for source in (path, str(path), data):
        picture = read_picture(source)
        assert picture.size == (WIDTH, HEIGHT) == picture_size(path)
        np.testing.assert_array_equal(picture.pixels, expected)
        assert picture.pixels.flags.writeable and picture.pixels.flags.c_contiguous


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_turn_is_applied_as_pillow_applies_it(format: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = on_disk(tmp_path, encoded(scene(), format, exif=exif))
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    assert (upright.width < upright.height) == (orientation >= 5)
    with Image.open(path) as image:
        for picture in (read_picture(path), read_picture(image), read_picture(image)):
            assert picture.size == upright.size
            np.testing.assert_array_equal(picture.pixels, np.asarray(upright))
    assert picture_size(path) == upright.size
    small = read_picture(path, short_side=20)
    assert small.size == upright.size
    expected = upright.resize((small.pixels.shape[1], small.pixels.shape[0]), Image.Resampling.BICUBIC)
    assert np.abs(small.pixels.astype(int) - np.asarray(expected)).max() <= 6


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_modes_without_transparency_are_converted_as_pillow_does(mode: str) -> None:
    image = scene().convert(mode)
    data = encoded(image, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    expected = Image.open(io.BytesIO(data)).convert("RGB")
    np.testing.assert_array_equal(read_picture(data).pixels, np.asarray(expected))
    # and the colours are those of the scene, in so far as the mode can hold them
    if mode in ("CMYK", "YCbCr"):
        assert np.abs(read_picture(data).pixels.astype(int) - np.asarray(scene())).mean() < 4


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_not_clipped(format: str) -> None:
    values = np.array([[0, 128, 129, 257, 1000, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    expected = np.round(values / 257)
    picture = read_picture(encoded(Image.fromarray(values), format))
    for channel in range(3):
        np.testing.assert_array_equal(picture.pixels[..., channel], expected)
    np.testing.assert_array_equal(read_picture(values).pixels[..., 0], expected)


def test_pixels_without_a_known_white_are_refused() -> None:
    for values in (
        np.array([[0, 70000]], np.int32),
        np.array([[-1, 5]], np.int32),
        np.array([[0.5]], np.float32),
    ):
        with pytest.raises(PictureError, match="8 or 16 bits"):
            read_picture(encoded(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    colours = np.zeros((1, 3, 4), np.uint8)
    colours[0, :, 3] = [0, 255, 128]
    image = Image.fromarray(colours)
    if mode == "P":
        image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L").convert("P")
        image.putpalette([0] * 9)
        image.info["transparency"] = bytes([0, 255, 128])
        source: bytes | Image.Image = encoded(image, "PNG")
    else:
        source = image.convert(mode) if mode == "PA" else encoded(image.convert(mode), "PNG")
    pixels = read_picture(source).pixels
    np.testing.assert_allclose(pixels[0, :, 0], [255, 0, 127], atol=1)
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_many_frames_the_first_counts(format: str) -> None:
    first, second = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    data = encoded(first, format, save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert read_picture(data).pixels[5, 5, 0] > 250
    assert read_picture(data, short_side=8).pixels.shape == (8, 8, 3)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(1, 1), (1, 90), (640, 480), (481, 641), (1203, 77)])
@pytest.mark.parametrize("short_side", [1, 40, 64, 500])
def test_shrinking(format: str, size: tuple[int, int], short_side: int) -> None:
    data = encoded(scene(*size), format, **({"quality": 95} if format == "JPEG" else {}))
    picture = read_picture(data, short_side)
    height, width = picture.pixels.shape[:2]
    assert picture.size == size
    assert min(width, height) == min(short_side, *size)
    scale = min(1, short_side / min(size))
    assert abs(width - size[0] * scale) <= 0.5 and abs(height - size[1] * scale) <= 0.5
    expected = Image.open(io.BytesIO(data)).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    assert np.abs(picture.pixels.astype(int) - np.asarray(expected)).mean() < 2
    np.testing.assert_array_equal(picture.pixels, read_picture(data, short_side).pixels)


@pytest.mark.parametrize("size", [(640, 480), (1203, 877), (90, 60)])
def test_a_decoder_leaves_twice_what_is_needed_and_nothing_is_resampled(size: tuple[int, int]) -> None:
    data = encoded(scene(*size), "JPEG", quality=95)
    picture = read_picture(data, 2000, needed=40)
    factor = max(k for k in (1, 2, 4, 8) if k == 1 or min(size) >= k * 80)
    assert picture.size == size and (picture.extent or size) == (size[0] / factor, size[1] / factor)
    drafted = Image.open(io.BytesIO(data))
    drafted.draft("RGB", (size[0] // factor, size[1] // factor))
    np.testing.assert_array_equal(picture.pixels, np.asarray(drafted))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("box", [None, (100, 200, 700, 900)])
def test_a_square_of_what_a_decoder_shrank_is_that_of_the_whole(orientation: int, box: tuple[int, ...] | None) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(scene(1203, 1077), "JPEG", quality=95, exif=exif.tobytes())
    shrunk, whole = (crop_square(read_picture(data, 2000, needed), box, 40) for needed in (40, None))
    assert np.abs(np.asarray(shrunk).astype(int) - np.asarray(whole)).mean() < 1.5


def test_what_is_needed_never_exceeds_what_is_asked_for() -> None:
    data = encoded(scene(900, 700), "JPEG")
    np.testing.assert_array_equal(read_picture(data, 60, needed=500).pixels, read_picture(data, 60).pixels)


@pytest.mark.parametrize("kind", ENCODINGS)
def test_a_file_cut_short_is_an_error_never_half_a_picture(kind: str) -> None:
    format, options = ENCODINGS[kind]
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format, **options)
    whole = read_picture(data).pixels
    refused = 0
    for end in [*range(0, len(data), len(data) // 40), *range(len(data) - 12, len(data))]:
        try:
            pixels = read_picture(data[:end]).pixels
        except PictureError:
            refused += 1
        else:  # what is missing were bytes after the pixels
            np.testing.assert_array_equal(pixels, whole)
    assert refused >= 40


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["jpeg", "png", "gif", "bmp", "webp", "ppm", "tiff"]), st.data())
def test_damaged_bytes_give_a_picture_or_a_picture_error(kind: str, data: st.DataObject) -> None:
    format, options = ENCODINGS[kind]
    file = bytearray(encoded(scene(16, 12), format, **options))
    for _ in range(data.draw(st.integers(1, 6))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert read_picture(bytes(file), short_side=8).pixels.dtype == np.uint8
    except PictureError as error:
        assert str(error).startswith("'<bytes>': ") and str(error).isprintable()


def eval_size_is_bounded_before_decoding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for width, height in ((60_000, 60_000), (13_000, 10_000)):
        with pytest.raises(PictureError, match="pixels"):
            read_picture(on_disk(tmp_path, png_header(width, height)), short_side=32)
    monkeypatch.setattr(images, "MAX_PIXELS", 100 * 100)
    jpeg, png = encoded(scene(400, 400), "JPEG"), encoded(scene(400, 400), "PNG")
    assert read_picture(jpeg, short_side=50).size == (400, 400)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="give short_side"):
        read_picture(jpeg)
    for data, short_side in ((jpeg, 60), (png, 50), (png, None)):
        with pytest.raises(PictureError, match="400 x 400 are more pixels than the limit, 10,000"):
            read_picture(data, short_side)


def test_a_file_too_long_to_be_a_picture_is_not_read(tmp_path: Path) -> None:
    path = on_disk(tmp_path, b"RIFF\xff\xff\xff\x7fWEBPVP8 ")
    os.truncate(path, images.MAX_BYTES + 1)  # sparse: takes no room on the disk
    with pytest.raises(PictureError, match="larger than 1024 MiB"):
        read_picture(path)


def test_pillows_warnings_stay_inside(tmp_path: Path) -> None:
    # Warnings are errors in this suite, so a leak would fail; above 89 million pixels Pillow warns.
    assert picture_size(on_disk(tmp_path, png_header(10_000, 10_000))) == (10_000, 10_000)
    for junk in (b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12", b"Exif\0\0" + b"\xff" * 50, b"Exif\0\0"):
        path = on_disk(tmp_path, encoded(scene(), "JPEG", exif=junk))
        assert read_picture(path).size == picture_size(path) == (WIDTH, HEIGHT)


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    data = encoded(scene(), "JPEG")
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [read_picture(data) for _ in range(50)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    cases = {
        tmp_path / "nothing.jpg": "no such file",
        tmp_path / "loop.jpg": "no such file",
        tmp_path: "not a regular file",
        tmp_path / "pipe.jpg": "not a regular file",
        Path("/dev/zero"): "not a regular file",
        on_disk(tmp_path, b"", "empty.jpg"): "not a picture of a known format",
        on_disk(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n", "script.jpg"): "not a picture of a known format",
        tmp_path / "a\0b.jpg": "cannot be read|no such file",
    }
    for path, reason in cases.items():
        for read in (read_picture, picture_size):
            with pytest.raises(PictureError, match=reason) as caught:
                read(path)
            assert repr(str(path)) in str(caught.value)


def test_a_hostile_name_cannot_write_control_characters(tmp_path: Path) -> None:
    path = on_disk(tmp_path, b"junk", "a\x1b[2J\nb\udcff.jpg")
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    assert str(caught.value).isprintable()


def test_arrays() -> None:
    grey = np.asarray(scene().convert("L"))
    for array in (grey, grey[..., None], np.stack([grey] * 3, axis=-1), grey[::-1][::-1]):
        np.testing.assert_array_equal(read_picture(array).pixels, np.stack([grey] * 3, axis=-1))
    picture = read_picture(np.asarray(scene()), short_side=9)
    assert picture.size == (WIDTH, HEIGHT) and min(picture.pixels.shape[:2]) == 9
    np.testing.assert_array_equal(read_picture(grey > 100).pixels[..., 0], (grey > 100) * 255)
    unsuitable = (
        np.zeros((4, 4)),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros(4, np.uint8),
    )
    for array in unsuitable:
        with pytest.raises(PictureError, match="is no picture"):
            read_picture(array)


def test_a_callers_image_is_not_changed(tmp_path: Path) -> None:
    path = on_disk(tmp_path, encoded(scene(400, 300), "JPEG"))
    with Image.open(path) as image:
        assert read_picture(image, short_side=20).size == image.size == (400, 300)
        assert np.asarray(image).shape == (300, 400, 3)
    with (
        Image.open(on_disk(tmp_path, encoded(scene(), "PNG")[:-200], "cut.png")) as image,
        pytest.raises(PictureError, match="cut"),
    ):
        read_picture(image)


def test_short_side_must_be_positive() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        read_picture(encoded(scene(), "PNG"), short_side=0)
