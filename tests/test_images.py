from __future__ import annotations

import base64
import errno
import io
import os
import struct
import sys
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
from wingbar._system import png as png_module
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


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


def png_header(width: int, height: int) -> bytes:
    """A valid PNG of a few hundred bytes that claims any size."""
    shape = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png(chunk(b"IHDR", shape), chunk(b"IDAT", zlib.compress(bytes(1000))))


def png_with(note: bytes, place: int = 33) -> bytes:
    """A PNG with a chunk after its header (33 bytes), or elsewhere."""
    data = encoded(scene(), "PNG")
    return data[:place] + note + (data[place:] if place > 0 else data[len(data) + place :])


NOTES = {
    "history": chunk(b"zTXt", b"history\0\0" + zlib.compress(b"layer " * 400_000)),
    "xmp": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"<x/>" * 600_000)),
    "profile": chunk(b"iCCP", b"printer\0\0" + zlib.compress(bytes(2 << 20))),
    "prompt": chunk(b"tEXt", b"parameters\0" + b"x" * (2 << 20)),
    "many": chunk(b"tEXt", b"parameters\0" + b"x" * (1 << 19)) * 140,
    "no checksum": chunk(b"tEXt", b"a\0bcd")[:-4] + bytes(4),
    "no checksum of a mark": chunk(b"gAMA", bytes(4))[:-4] + bytes(4),
    "not packed": chunk(b"zTXt", b"history\0\0junk"),
}


@pytest.mark.parametrize("kind", NOTES)
@pytest.mark.parametrize("place", [33, -12])
def test_what_stands_beside_a_pngs_pixels_does_not_matter(kind: str, place: int, tmp_path: Path) -> None:
    data = png_with(NOTES[kind], place)
    for source in (data, on_disk(tmp_path, data)):
        picture = read_picture(source)
        np.testing.assert_array_equal(picture.pixels, np.asarray(scene()))
        assert picture_size(source) == (WIDTH, HEIGHT)


class CountingFile(io.BytesIO):
    """Counts how often it is read from."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


def test_little_is_read_of_a_png_to_find_its_notes() -> None:
    """Not for each twelve bytes behind its end, nor for each of a million empty chunks."""
    trailed = CountingFile(png_with(NOTES["profile"]) + bytes(1 << 20))
    np.testing.assert_array_equal(np.asarray(Image.open(png_module.without_notes(trailed))), np.asarray(scene()))
    assert trailed.reads < 100
    many = CountingFile(png_with(NOTES["profile"] + chunk(b"teSt", b"") * 300_000))
    png_module.without_notes(many)
    assert many.reads <= png_module.MAX_CHUNKS + 10


def test_a_png_with_notes_is_turned_and_keeps_its_transparency() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([0] * 6)
    data = encoded(palette, "PNG", exif=exif, transparency=bytes([0, 255]))
    picture = read_picture(data[:33] + NOTES["history"] + data[33:])
    assert picture.size == (1, 2) and picture.pixels[:, 0, 0].tolist() == [255, 0]


HEIC = base64.b85decode(
    "0000OW^{RQXk}?*00000ZE0pPXk}?*0005VZDn*}000000000XXk=`10000000000aA{+700000000000000000000G-"
    "+&aV*mgE07O6l0ssL300001=l}r#00000007hg0ssI200O)K0RR9100000Bme*aIB98aW&i*H00062000$fZf0cy000000RRAKc4"
    "ILB0000LX>Mj^0ssI300IC2MR;ju000004sdC7Z2$lO00031009SSaB^?}008D`aAR)(004Gqc4I>U18@KU0FVFx0000U@BsY%`1"
    "k+-4+CHT0RR|40Sp2E{{wIU00RJ!0009300RIXx&lC90096hLID8-"
    "Z~y=U0FVFx0{{R603M(qfd!W8<fgf}2xu@M00096AOHXZ03l)k0RRR>0l{;?i2wiq6Ju{|a&BX6cmM$a4FCp!0000KX>)L800000"
    "0000$0000$0000eV{Bn?0000z000010000j00001|NsB}00002|NsB(000020000GaA|mH000000|*ER00009X>xCL0{{R38EJ5B"
    "VE_OC000000RRC8fdT^sgoXeB02*m>Wo7^X0000001jhhb7KGk0096200031ZDe6|0002cC;_hy;8&WC6RgdDr^mi?Ve%ggnmCJb"
    "`gRk2BZuZ2&ReR-m-Am%iHN;>vH+X((%k;$R6O}1*F69qd23WLz(cj=R6f0Ok1tq+S@3*wlBS2@glrxg-PYNuE6{4==Q4(<Zy%?X"
    "T-j5w4nIi4Y(vKw&q;y8dwG(NTCTyjLHk`|uL&#x=Pq_lQ2ak~KR;((oud|MMjQO+bUe#cU$X-"
    "pZzZ=!kX@5x)QjXp@Lx7^4EZeCt*kp^(``6#)Vr}%u{%w>N3Wtin|lQO00006MR;ju002!*04e|g00;m90TKWM0000100sa60000"
    "0"
)
"""`scene`, stored lying on its side and marked to be turned, as phones do; by another program, libheif."""


def test_a_phones_heic_is_read_upright(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    path = on_disk(tmp_path, HEIC, "IMG_0001.jpg")
    expected = scene().transpose(Image.Transpose.ROTATE_270)
    for source in (path, HEIC):
        picture = read_picture(source)
        assert picture.size == picture_size(source) == expected.size == (HEIGHT, WIDTH)
        assert np.abs(picture.pixels.astype(int) - np.asarray(expected)).mean() < 2
    small = read_picture(HEIC, short_side=20)
    assert small.size == (HEIGHT, WIDTH) and min(small.pixels.shape[:2]) == 20
    for end in range(0, len(HEIC), 40):
        with pytest.raises(PictureError):
            read_picture(HEIC[:end])


def test_a_heic_is_named_with_the_remedy_where_nothing_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pi_heif", "pillow_heif"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PictureError, match=r"a HEIC picture.* pip install 'wingbar\[heif\]'"):
        read_picture(HEIC)


@pytest.mark.parametrize("data", [HEIC, encoded(scene(), "AVIF")], ids=["heic", "avif"])
def test_what_is_read_whole_into_memory_is_bounded(data: bytes, tmp_path: Path, monkeypatch) -> None:
    path = on_disk(tmp_path, data)
    os.truncate(path, images.MAX_MEMBER_BYTES + 1)
    with pytest.raises(PictureError, match="larger than 64 MiB"):
        picture_size(path)
    pytest.importorskip("pi_heif")
    monkeypatch.setattr(images, "MAX_PIXELS", 2 * WIDTH * HEIGHT)
    assert read_picture(data)
    monkeypatch.setattr(images, "MAX_PIXELS", 2 * WIDTH * HEIGHT - 1)
    with pytest.raises(PictureError, match="more pixels than the limit"):
        read_picture(data)


@pytest.mark.parametrize("options", [{}, {"quality": 95, "subsampling": 0}, {"restart_marker_blocks": 2}])
@pytest.mark.parametrize("short_side", [None, 11])
def test_a_jpeg_that_lacks_only_its_end_mark_is_whole(options: dict[str, int], short_side: int | None) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), "JPEG", **options)
    for end in (-1, -2):
        np.testing.assert_array_equal(
            read_picture(data[:end], short_side).pixels, read_picture(data, short_side).pixels
        )
    with pytest.raises(PictureError, match="cut short"):
        read_picture(data[:-20], short_side)


def test_a_progressive_jpeg_without_its_end_may_lack_whole_passes() -> None:
    data = encoded(scene(), "JPEG", progressive=True)
    with pytest.raises(PictureError, match="cut short"):
        read_picture(data[: data.rindex(b"\xff\xda")])


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
    "avif": ("AVIF", {"quality": 90}),
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


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
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


GREY = np.asarray(scene().convert("L"))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "array"])
def test_16_bits_are_scaled_by_the_bits_that_a_camera_filled(format: str, bits: int) -> None:
    values = np.round(GREY / 255 * (2**bits - 1)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    picture = read_picture(values if format == "array" else encoded(Image.fromarray(values), format))
    assert np.abs(picture.pixels[..., 0].astype(int) - GREY)[1:].max() <= 1 and picture.pixels[0, 0, 0] == 255


@pytest.mark.parametrize("white", [255, 4095, 65535, 2**20 - 1, 2**31 - 1, 1.0, 255.0])
def test_32_bits_are_scaled_by_what_they_hold(white: float) -> None:
    values = (GREY / 255 * white).astype(np.int32 if isinstance(white, int) else np.float32)
    values[0, 0] = white
    picture = read_picture(encoded(Image.fromarray(values), "TIFF"))
    assert np.abs(picture.pixels[..., 0].astype(int) - GREY)[1:].max() <= 1 and picture.pixels[0, 0, 0] == 255


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits in each of its colours, which Pillow cannot write."""
    height, width, channels = values.shape
    shape = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(chunk(b"IHDR", shape), chunk(b"IDAT", zlib.compress(rows)))


def deep_tiff(values: np.ndarray, order: str) -> bytes:
    """A TIFF of 16 bits in each of three colours, in either order of bytes."""
    height, width, _ = values.shape
    entries = [(256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, 2), (273, 4, 200), (277, 3, 3),
               (278, 3, height), (279, 4, 6 * width * height)]  # fmt: skip
    body = b"".join(
        struct.pack(f"{order}HHI", tag, kind, 3 if tag == 258 else 1)
        + (struct.pack(f"{order}I", 190) if tag == 258 else struct.pack(f"{order}{'HH' if kind == 3 else 'I'}", *(
            (value, 0) if kind == 3 else (value,))))
        for tag, kind, value in entries
    )  # fmt: skip
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries)) + body + bytes(4)
    return head.ljust(190, b"\0") + struct.pack(f"{order}3H", 16, 16, 16) + bytes(4) + (
        values.astype(f"{order}u2").tobytes()
    )  # fmt: skip


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("kind", ["png", "png with alpha", "<", ">"])
def test_colours_of_16_bits_are_scaled_likewise(kind: str, bits: int) -> None:
    colours = np.asarray(scene())
    values = np.round(colours / 255 * (2**bits - 1)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    if kind == "png with alpha":
        values = np.concatenate([values, np.full_like(values[..., :1], 65535)], axis=-1)
    data = deep_png(values) if kind.startswith("png") else deep_tiff(values, kind)
    picture = read_picture(data)
    assert picture.size == (WIDTH, HEIGHT)
    assert np.abs(picture.pixels.astype(int) - colours)[1:].max() <= 1


def test_pixels_without_a_known_black_or_white_are_refused() -> None:
    for values in (
        np.array([[-1, 5]], np.int32),
        np.array([[-0.5, 1]], np.float32),
        np.array([[0.5, np.nan]], np.float32),
        np.array([[0.5, np.inf]], np.float32),
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


def test_the_size_is_bounded_before_decoding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
        on_disk(tmp_path, b"", "empty.jpg"): "an empty file",
        on_disk(tmp_path, b"version https://git-lfs.github.com/spec/v1\n", "lfs.jpg"): "git lfs pull",
        on_disk(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n", "script.jpg"): "not a picture of a known format",
        tmp_path / "a\0b.jpg": "cannot be read|no such file",
    }
    for path, reason in cases.items():
        for read in (read_picture, picture_size):
            with pytest.raises(PictureError, match=reason) as caught:
                read(path)
            assert repr(str(path)) in str(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO])
def test_what_the_system_refuses_is_not_called_damaged(tmp_path: Path, number: int, monkeypatch) -> None:
    path = on_disk(tmp_path, encoded(scene(), "PNG"), "a.png")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)
    for read in (read_picture, picture_size):
        with pytest.raises(PictureError, match=rf"cannot be read \({os.strerror(number)}\)"):
            read(path)


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
