"""Files that are bad or odd pictures, a thousand and more of them: seeded, the same every time.

Whether a file must be read, must be refused, or may be either is known from how it was made, not from our readers.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

Verdict = Literal["read", "refused", "either"]
SIDES = (31, 23)
ENCODINGS: dict[str, tuple[str, dict[str, object]]] = {
    "jpg": ("JPEG", {"quality": 60}),
    "progressive.jpg": ("JPEG", {"progressive": True, "quality": 60}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"quality": 60}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "ppm": ("PPM", {}),
    "avif": ("AVIF", {"quality": 60}),
}


@dataclass(frozen=True)
class Hostile:
    """One file: a name that is safe to write, its bytes, and what a reader has to make of it."""

    name: str
    content: bytes
    verdict: Verdict = "either"


def hostile_pictures(times: int = 1) -> Iterator[Hostile]:
    """Over a thousand files; ``times`` as many of those that are damaged at random places."""
    generator = np.random.default_rng(0)
    whole = {kind: encoded(noise(generator), *how) for kind, how in ENCODINGS.items()}
    for kind, content in whole.items():
        yield from cut(kind, content, 44 * times)
        for number in range(44 * times):
            damaged = DAMAGES[number % len(DAMAGES)](bytearray(content), generator)
            yield Hostile(f"damaged-{number:04d}.{kind}", bytes(damaged))
    yield from misnamed(whole)
    yield from no_pictures(generator)
    yield from bombs()
    yield from odd_shapes()
    yield from odd_modes(generator)
    yield from odd_metadata(generator)


def noise(generator: np.random.Generator, size: tuple[int, int] = SIDES) -> Image.Image:
    """A picture like no other."""
    return Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str, options: dict[str, object] | None = None) -> bytes:
    """The file of a picture."""
    out = io.BytesIO()
    image.save(out, kind, **(options or {}))
    return out.getvalue()


def cut(kind: str, content: bytes, count: int) -> Iterator[Hostile]:
    """Cut off early in the header, late, and everywhere between."""
    ends = {*range(min(count // 3, len(content))), *range(len(content) - count // 6, len(content))}
    ends |= set(np.linspace(0, len(content) - 1, count - len(ends), dtype=int).tolist())
    for end in sorted(ends):
        yield Hostile(f"cut-{end:06d}.{kind}", content[:end], "refused" if end < 4 else "either")


def flipped(content: bytearray, generator: np.random.Generator) -> bytearray:
    """One to four bits turned over."""
    for place in generator.integers(0, 8 * len(content), generator.integers(1, 5)):
        content[place // 8] ^= 1 << (place % 8)
    return content


def flipped_head(content: bytearray, generator: np.random.Generator) -> bytearray:
    """Bits turned over where sizes and offsets stand."""
    return flipped(content[:64], generator) + content[64:]


def blanked(content: bytearray, generator: np.random.Generator) -> bytearray:
    """A stretch of zeros or ones."""
    start, length = generator.integers(0, len(content)), int(generator.integers(1, 40))
    content[start : start + length] = bytes([255 * int(generator.integers(2))]) * len(content[start : start + length])
    return content


def removed(content: bytearray, generator: np.random.Generator) -> bytearray:
    """A stretch left out."""
    start = generator.integers(0, len(content))
    del content[start : start + generator.integers(1, 40)]
    return content


def doubled(content: bytearray, generator: np.random.Generator) -> bytearray:
    """A stretch twice."""
    start = generator.integers(0, len(content))
    stop = start + generator.integers(1, 40)
    return content[:stop] + content[start:]


def overwritten(content: bytearray, generator: np.random.Generator) -> bytearray:
    """A stretch of noise."""
    start, length = generator.integers(0, len(content)), int(generator.integers(1, 40))
    content[start : start + length] = generator.bytes(len(content[start : start + length]))
    return content


DAMAGES: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (
    flipped, flipped_head, blanked, removed, doubled, overwritten,
)  # fmt: skip


def misnamed(whole: dict[str, bytes]) -> Iterator[Hostile]:
    """Sound pictures under another kind's extension: the bytes count, not the name."""
    kinds = list(whole)
    for kind, other in zip(kinds, kinds[1:] + kinds[:1], strict=True):
        yield Hostile(f"misnamed-{kind.replace('.', '-')}.{other}", whole[kind], "read")
    yield Hostile("two-at-once.jpg", whole["jpg"] + whole["png"], "read")


def no_pictures(generator: np.random.Generator) -> Iterator[Hostile]:
    """Other files under a picture's name."""
    archive = b"PK\x03\x04\x14\x00" + bytes(60)
    others = {
        "empty": b"", "nul": bytes(5000), "text": b"not a picture\n", "random": generator.bytes(3000),
        "page": b"<html><script>alert(1)</script></html>", "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "pdf": b"%PDF-1.7\n", "zip": archive,
        "program": b"\x7fELF" + bytes(60), "shell": b"#!/bin/sh\ntouch owned\n", "pickle": b"\x80\x04\x95" + bytes(30),
        "icon": b"\x00\x00\x01\x00\x01\x00" + bytes(60), "heic": b"\x00\x00\x00\x18ftypheic" + bytes(60),
        "jpeg-head": b"\xff\xd8\xff\xe0", "png-head": b"\x89PNG\r\n\x1a\n", "gif-head": b"GIF89a",
        "tiff-head": b"II*\0",
    }  # fmt: skip
    for name, content in others.items():
        yield Hostile(f"no-picture-{name}.jpg", content, "refused")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A piece of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, data: bytes, *extra: bytes, bits: int = 1) -> bytes:
    """A grey PNG that claims any size, around ``data``."""
    shape = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"".join([
        b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", shape), *extra, chunk(b"IDAT", zlib.compress(data, 9)),
        chunk(b"IEND", b""),
    ])  # fmt: skip


def bombs() -> Iterator[Hostile]:
    """A few bytes that claim, or unfold into, far more than a machine holds."""
    tiff = [(256, 4, 60_000), (257, 4, 60_000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (279, 4, 2**32 - 1)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tiff)
    bitmap = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 100, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    note, whole = zlib.compress(bytes(80 << 20), 9), noise(np.random.default_rng(1))
    yield Hostile("bomb-claimed.png", png_of(60_000, 60_000, bytes(1000)), "refused")
    yield Hostile("bomb-most.png", png_of(2**31 - 1, 2**31 - 1, bytes(1000)), "refused")
    yield Hostile("bomb-no-side.png", png_of(0, 60_000, bytes(1000)), "refused")
    yield Hostile("bomb-claimed.ppm", b"P6 60000 60000 255\n" + bytes(100), "refused")
    yield Hostile("bomb-digits.ppm", b"P6 " + b"9" * 5000 + b" 9 255\n", "refused")
    yield Hostile("bomb-claimed.bmp", bitmap + bytes(100), "refused")
    yield Hostile("bomb-claimed.tif", b"II*\0" + struct.pack("<IH", 8, len(tiff)) + entries + bytes(4), "refused")
    yield Hostile("bomb-claimed.gif", b"GIF89a\xff\xff\xff\xff\x00\x00\x00" + bytes(50), "refused")
    yield Hostile("bomb-just-over.png", png_of(12_001, 10_000, bytes(1000)), "refused")
    for name, size, verdict in (("claimed", (60_000, 60_000), "refused"), ("just-over", (12_001, 5_000), "refused"),
                                ("more-inside", (9, 9), "either")):  # fmt: skip
        yield Hostile(f"bomb-{name}.avif", resized_box(encoded(whole, "AVIF"), *size), verdict)
    # As large as it says, and still read: 6 kB that unfold into 49 million pixels.
    yield Hostile("bomb-real.png", png_of(7_000, 7_000, bytes(7_000 * 876)), "read")
    for kind in (b"iTXt", b"zTXt", b"iCCP"):
        text = b"a\0" + (b"\1\0\0\0" if kind == b"iTXt" else b"\0") + note
        yield Hostile(f"bomb-note-{kind.decode()}.png", png_of(9, 9, bytes(27), chunk(kind, text)), "read")
    frames = [Image.new("L", (600, 600), number) for number in range(60)]
    yield Hostile("bomb-frames.gif", encoded(frames[0], "GIF", {"save_all": True, "append_images": frames[1:]}), "read")
    yield Hostile("bomb-trailer.jpg", encoded(whole, "JPEG") + bytes(3 << 20), "read")


def resized_box(content: bytes, width: int, height: int) -> bytes:
    """An AVIF that claims another size than it has."""
    place = content.index(b"ispe") + 8
    return content[:place] + struct.pack(">II", width, height) + content[place + 8 :]


def odd_shapes() -> Iterator[Hostile]:
    """As small and as thin as can be."""
    for size in ((1, 1), (1, 2), (2, 1), (3, 1), (1, 400), (400, 1), (60_000, 1), (1, 60_000), (20_000, 3)):
        plain = Image.new("RGB", size, "olive")
        for kind in ("jpg", "png", "bmp", "tif", "gif", "ppm", "webp"):
            if kind != "webp" or max(size) < 16_384:
                yield Hostile(f"shape-{size[0]}x{size[1]}.{kind}", encoded(plain, ENCODINGS[kind][0]), "read")


def odd_modes(generator: np.random.Generator) -> Iterator[Hostile]:
    """Pixels of every other kind, and more pictures than one in a file."""
    pixels = noise(generator)
    grey = np.asarray(pixels.convert("L"))
    for mode in ("1", "L", "LA", "P", "RGBA", "I;16"):
        image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else pixels.convert(mode)
        yield Hostile(f"mode-{mode.replace(';', '')}.png", encoded(image, "PNG"), "read")
    for mode in ("CMYK", "YCbCr", "L"):
        yield Hostile(f"mode-{mode}.jpg", encoded(pixels.convert(mode), "JPEG"), "read")
    for mode in ("CMYK", "LAB", "RGBA", "YCbCr"):
        image = pixels.convert("LAB") if mode == "LAB" else pixels.convert(mode)
        yield Hostile(f"mode-{mode}.tif", encoded(image, "TIFF"))
    for name, value in (("nan", np.nan), ("inf", np.inf), ("below", -0.5)):
        yield Hostile(
            f"float-{name}.tif", encoded(Image.fromarray(np.full((9, 9), value, np.float32)), "TIFF"), "refused"
        )
    for name, number, verdict in (("negative", -5, "refused"), ("large", 2**31 - 1, "read")):
        yield Hostile(f"int-{name}.tif", encoded(Image.fromarray(np.full((9, 9), number, np.int32)), "TIFF"), verdict)
    transparent = pixels.convert("P")
    for number in range(4):
        clear = generator.bytes(int(generator.integers(1, 256)))
        yield Hostile(f"clear-{number}.png", encoded(transparent, "PNG", {"transparency": clear}), "read")
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        many = {"save_all": True, "append_images": [noise(generator) for _ in range(5)]}
        yield Hostile(f"animated.{kind.lower()}", encoded(pixels, kind, many), "read")


def odd_metadata(generator: np.random.Generator) -> Iterator[Hostile]:
    """What stands beside the pixels is junk; the pixels are sound."""
    pixels = noise(generator)
    loop = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\x08"
    notes = [generator.bytes(int(generator.integers(1, 300))) for _ in range(12)]
    exifs = [loop, b"Exif\0\0", b"Exif\0\0" + b"\xff" * 60, *(b"Exif\0\0II*\0\x08\0\0\0" + note for note in notes)]
    for number, exif in enumerate(exifs):
        for kind in ("JPEG", "WEBP", "PNG"):
            yield Hostile(f"exif-{number:02d}.{kind.lower()}", encoded(pixels, kind, {"exif": exif}), "read")
    for turn in (0, 3, 6, 9, 255, 65535):
        exif_record = Image.Exif()
        exif_record[0x0112] = turn
        for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
            yield Hostile(f"turn-{turn}.{kind.lower()}", encoded(pixels, kind, {"exif": exif_record}), "read")
    for number, note in enumerate([*notes, bytes(100_000)]):
        for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
            yield Hostile(f"colours-{number:02d}.{kind.lower()}", encoded(pixels, kind, {"icc_profile": note}), "read")


NAMES = (
    "two\nlines.png", "tab\t.png", "bell\a\x1b[2J\x1b]0;owned\a.png", "quote'\".png", "back\\slash.png",
    "..\\..\\up.png", "%2e%2e%2fup.png", "..png.png", "-rf.png", "--out=x.png", "$(touch owned).png",
    "`touch owned`.png", "a;b|c&d.png", "<img src=x onerror=alert(1)>.png", "&amp;&lt;.png", "{{7*7}}.png",
    "%s%n.png", "space .png", " lead.png", "x" * 251 + ".png", "鳥" * 83 + "ab.png", "wren.png", "wr\u0435n.png",
    "\u202egnp.nerw.png", "zero\u200bwidth.png", "e\u0301.png", "\u00e9.png", "bytes\udcff\udc80.png", "CON.png",
    "nul.png", "😀.png", "*.png", "?.png", "~.png", "C:.png", "line\u2028end.png", "\x7f.png",
)  # fmt: skip
"""Names of files, with look-alikes (a Cyrillic e), bytes that are no UTF-8, 255 bytes, words of shells and pages."""


def write_pictures(folder: Path, pictures: Sequence[Hostile]) -> dict[Path, Verdict]:
    """The files in ``folder``, which is made, with what a reader has to make of each."""
    folder.mkdir(parents=True)
    for one in pictures:
        (folder / one.name).write_bytes(one.content)
    return {folder / one.name: one.verdict for one in pictures}


def write_names(folder: Path) -> list[Path]:
    """Sound pictures, no two alike, under `NAMES`; and links that lead round in a circle, nowhere, or to a device."""
    generator = np.random.default_rng(2)
    paths = [folder / name for name in NAMES]
    for path in paths:
        path.write_bytes(encoded(noise(generator), "PNG"))
    for name, target in (("loop.png", "loop.png"), ("round.png", "trip.png"), ("trip.png", "round.png"),
                         ("dangling.png", "gone"), ("zero.png", "/dev/zero"), ("up.png", "..")):  # fmt: skip
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.png")
    return paths
