"""Reading one picture safely: any common kind in, upright RGB bytes out, or a ``PictureError`` that says why.

What is decided here, for every caller:

* Only the formats of ``FORMATS`` are opened; files larger than ``MAX_BYTES`` and pictures of more than
  ``MAX_PIXELS`` are refused before anything is decoded. A JPEG above that still loads when ``short_side``
  lets its decoder shrink it on the way, up to Pillow's own bound of about 179 million pixels.
* The EXIF turn is applied, so width and height are those a viewer shows.
* Transparency is laid on white; 16 bits are scaled to 8 (not clipped); of an animation the first frame
  counts; colour profiles are ignored.
* A file cut short is an error, never a picture with a grey half.
* However many threads read, pictures of at most ``MAX_PIXELS`` pixels together are decoded at a time.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from wingbar._system.memory import out_of_memory
from wingbar.boxes import Box
from wingbar.errors import PictureError, PictureNeedsMemory, PictureTooLarge

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 120_000_000
MAX_BYTES = 1 << 30
READ_SIDE = 1024
"""Pictures are decoded at this short side at most, in training as in prediction."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)

MAX_MEMBER_BYTES = 1 << 26
"""Of a picture within an archive: it is read whole, one in each thread."""


@dataclass(frozen=True)
class Member:
    """A picture within an archive that is not unpacked: ``size`` bytes from ``offset`` on."""

    archive: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    def read(self) -> bytes:
        """Its bytes. Raises ``PictureError`` for more than ``MAX_MEMBER_BYTES``, before any is read."""
        if self.size > MAX_MEMBER_BYTES:
            raise PictureError(f"larger than {MAX_MEMBER_BYTES >> 20} MiB; unpack it from its archive")
        with self.archive.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


Source = Path | str | bytes | Member | Image.Image | ndarray


@dataclass(frozen=True, eq=False)
class Picture:
    """RGB pixels, possibly shrunk, and the (width, height) of the upright original they came from."""

    pixels: UInt8[ndarray, "height width 3"]
    size: tuple[int, int]
    turned: bool = False
    """Whether EXIF turned it: programs that ignore EXIF show it otherwise."""
    extent: tuple[float, float] | None = None
    """Width and height of the original in ``pixels``, where it does not fill the last ones."""


def read_picture(source: Source, short_side: int | None = None, needed: int | None = None) -> Picture:
    """Decode a picture to upright RGB.

    ``source`` is a path, the bytes of a file, an archive's member, a Pillow image, or an array ``[H, W]`` or
    ``[H, W, 1|3|4]`` of uint8, uint16 or bool. With ``short_side`` the pixels are shrunk, never enlarged, until
    their short side is at most that long; the aspect ratio stays, to a pixel. Who will resize them to less says
    what short side is ``needed``: then a JPEG's decoder may leave twice that, and they are resampled once only.

    Raises ``PictureError``, naming the picture and the reason, if it cannot be read whole.
    """
    for side in (short_side, needed):
        if side is not None and side < 1:
            raise ValueError(f"a short side must be at least 1, not {side}")
    name = _name(source)
    with _told(name), _QUIET, _opened(source) as image:
        stored = image.size
        target = _shrunk(stored, short_side)
        coarsest = _shrunk(target, needed)
        drafted = None
        if not isinstance(source, Image.Image):  # a caller's image is not ours to change
            # JPEG decodes to 1/2, 1/4 or 1/8 at little cost; kept at twice the target or more, the
            # resize that follows is as good as one from all pixels
            drafted = image.draft(None, (2 * coarsest[0], 2 * coarsest[1]))
        if image.width * image.height > MAX_PIXELS:
            raise PictureTooLarge(_too_many(stored, short_side))
        with _DECODING.of(image.width * image.height):
            image.load()
            # A TIFF may be turned by load(), which then drops its mark: so the mark is read after it.
            orientation = _orientation(image)
            rgb = _to_rgb(image)
            inside = drafted[1][2:] if drafted else rgb.size
            rgb, extent = _resampled(rgb, inside, target, orientation in _TURNS)
            if orientation in _TURNS:
                rgb = rgb.transpose(_TURNS[orientation])
            # np.array, not asarray: torch wants memory it may write to
            pixels = np.array(rgb)
    size = _swapped(stored) if orientation in _SIDEWAYS else stored
    return Picture(pixels, size, orientation in _TURNS, extent)


def crop_square(picture: Picture, box: Sequence[float] | None, size: int) -> Image.Image:
    """The box (pixels of the original) of a picture already read, as a square."""
    pixels = Image.fromarray(picture.pixels)
    width, height = picture.extent or map(float, pixels.size)
    region = (0.0, 0.0, width, height)
    if box is not None:
        sx, sy = width / picture.size[0], height / picture.size[1]
        region = (box[0] * sx, box[1] * sy, min(box[2] * sx, width), min(box[3] * sy, height))
    return pixels.resize((size, size), Image.Resampling.BICUBIC, box=region, reducing_gap=2.0)


def cut_squares(
    pictures: Sequence[Picture], boxes: Sequence[Box | None], side: int
) -> UInt8[ndarray, "n 3 {side} {side}"]:
    """What nets are shown: each box of its picture (None: the whole), resized."""
    cut = [np.asarray(crop_square(p, box, side)) for p, box in zip(pictures, boxes, strict=True)]
    return np.stack(cut).transpose(0, 3, 1, 2)


def picture_size(source: Path | str | bytes) -> tuple[int, int]:
    """(width, height) after the EXIF turn, from a file's header alone: nothing is decoded.

    Raises ``PictureError`` if the file is missing or its header is none of ``FORMATS``; damage further
    on is found by ``read_picture`` only.
    """
    with _told(_name(source)), _QUIET, _opened(source) as image:
        size = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # newer Pillows turn this size already
            size = (image.tag_v2[TiffImagePlugin.IMAGEWIDTH], image.tag_v2[TiffImagePlugin.IMAGELENGTH])
        return _swapped(size) if _orientation(image) in _SIDEWAYS else size


def _name(source: Source) -> str:
    """How errors call the picture; quoted, so that a hostile file name cannot write control characters."""
    if isinstance(source, Image.Image):
        source = str(getattr(source, "filename", "") or "<Pillow image>")
    if isinstance(source, (Path, str, Member)):
        return repr(str(source))
    return "'<array>'" if isinstance(source, ndarray) else "'<bytes>'"


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn whatever goes wrong inside into a ``PictureError`` about the picture ``name``."""
    try:
        yield
    except PictureError as error:
        raise type(error)(f"{name}: {error}") from None
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise PictureError(f"{name}: not a picture of a known format ({known})") from None
    except Image.DecompressionBombError:
        raise PictureTooLarge(f"{name}: far too many pixels; shrink it first") from None
    except Exception as error:  # decoders fail on hostile bytes with nearly any type there is
        if out_of_memory(error):
            raise PictureNeedsMemory(f"{name}: not enough memory to decode it; shrink it first") from None
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        plain = "".join(letter if letter.isprintable() else "?" for letter in reason)
        raise PictureError(f"{name}: cannot be read, damaged or cut short ({plain[:200]})") from error


@contextmanager
def _opened(source: Source) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        yield source
    elif isinstance(source, ndarray):
        yield _from_array(source)
    elif isinstance(source, (bytes, Member)):
        content = source.read() if isinstance(source, Member) else source
        yield Image.open(BytesIO(content), formats=FORMATS)
    else:
        path = Path(source)
        if not path.exists():
            raise PictureError("no such file")
        if not path.is_file():  # opening a pipe or a device could wait for ever
            raise PictureError("not a regular file")
        if path.stat().st_size > MAX_BYTES:
            raise PictureError(f"larger than {MAX_BYTES >> 20} MiB; shrink it first")
        with path.open("rb") as file:
            yield Image.open(file, formats=FORMATS)


def _from_array(array: ndarray) -> Image.Image:
    plain = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    shaped = plain.ndim == 2 or (plain.ndim == 3 and plain.shape[2] in (3, 4))
    if not shaped or plain.size == 0 or plain.dtype not in (np.uint8, np.uint16, np.bool_):
        raise PictureError(
            f"an array of shape {array.shape} and type {array.dtype} is no picture; "
            "give [H, W] or [H, W, 1|3|4] of uint8, uint16 or bool"
        )
    if plain.dtype == np.bool_:
        plain = plain * np.uint8(255)
    return Image.fromarray(plain if plain.dtype == np.uint8 else _to_8_bits(plain))


def _too_many(size: tuple[int, int], short_side: int | None) -> str:
    hint = "shrink it first" if short_side else "give short_side if it is a JPEG, or shrink it first"
    return f"{size[0]} x {size[1]} are more pixels than the limit, {MAX_PIXELS:,}; {hint}"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # junk in EXIF says nothing about the pixels: the picture counts as upright
        return 1


def _swapped(size: tuple[int, int]) -> tuple[int, int]:
    return size[1], size[0]


def _shrunk(size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    if short_side is None or min(size) <= short_side:
        return size
    scale = short_side / min(size)
    return round(size[0] * scale), round(size[1] * scale)


def _resampled(
    rgb: Image.Image, inside: tuple[float, float], target: tuple[int, int], turned: bool
) -> tuple[Image.Image, tuple[float, float] | None]:
    """The first ``inside`` pixels in the size ``target``, or, where they are fewer, as they are, with their extent."""
    if min(inside) < min(target):
        if not turned:
            return rgb, inside
        target = round(inside[0]), round(inside[1])  # what is going to be turned has to fill its pixels
    return (rgb if inside == target else rgb.resize(target, Image.Resampling.BICUBIC, (0, 0, *inside))), None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise PictureError("floating-point pixels have no fixed white; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _to_8_bits(values: ndarray) -> ndarray:
    """0..65535 to 0..255, rounded. Pillow's own conversion clips at 255 instead."""
    if values.min() < 0 or values.max() > 65535:
        raise PictureError("pixels outside 0..65535; save it with 8 or 16 bits")
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


class _Quiet:
    """Silences Pillow's warnings while any thread is inside; the last one out restores the filters.

    Overlapping ``catch_warnings`` blocks of several threads would restore one another's filters, and
    could leave warnings off for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_QUIET = _Quiet()


class _Decoding:
    """Lets threads decode side by side while their pictures together have at most ``MAX_PIXELS`` pixels."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pixels = 0

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._pixels == 0 or self._pixels + pixels <= MAX_PIXELS)
            self._pixels += pixels
        try:
            yield
        finally:
            with self._changed:
                self._pixels -= pixels
                self._changed.notify_all()


_DECODING = _Decoding()
