"""Reading one picture safely: any common kind in, upright RGB bytes out, or a ``PictureError`` that says why.

What is decided here, for every caller:

* Only the formats of ``FORMATS`` are opened; files larger than ``MAX_BYTES`` and pictures of more than
  ``MAX_PIXELS`` are refused before anything is decoded. A JPEG above that still loads when ``short_side``
  lets its decoder shrink it on the way, up to Pillow's own bound of about 179 million pixels. For AVIF and HEIC, whose
  decoders keep more in memory, ``MAX_MEMBER_BYTES`` and half as many pixels are the limits.
* HEIC, which iPhones write, is read where ``wingbar[heif]`` is installed, and else named with that remedy.
* The EXIF turn is applied, so width and height are those a viewer shows.
* Transparency is laid on white; of an animation the first frame counts; colour profiles and notes are ignored.
* More than 8 bits are scaled by what they hold: white is the largest number of the fewest bits (8, 10, 12, 14, 16, ...)
  that hold the brightest pixel, because a file of 16 bits does not say that its camera had 12.
* A file cut short is an error, never a picture with a grey half. A JPEG that lacks only its end mark is whole.
* However many threads read, pictures of at most ``MAX_PIXELS`` pixels together are decoded at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from wingbar._system.decoding import Decoding, Quiet
from wingbar._system.depths import load_low_bytes, loses_low_bytes, to_8_bits
from wingbar._system.memory import out_of_memory
from wingbar._system.png import File, without_notes
from wingbar._system.text import visible
from wingbar.boxes import Box
from wingbar.errors import PictureError, PictureNeedsMemory, PictureTooLarge

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF")
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
LFS_POINTER = b"version https://git-lfs.github.com/"
"""How a file begins that Git LFS left in a picture's place."""
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
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
"""Of a file that is read whole into memory, one in each thread: a picture within an archive, an AVIF, a HEIC."""


_QUIET, _DECODING = Quiet(), Decoding()


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
    with _as_picture_error(_name(source)), _QUIET:
        try:
            return _decoded(source, short_side, needed)
        except OSError:  # Pillow's word for a file that ends too early, among others
            picture = _without_end_mark(source, short_side, needed)
            if picture is None:
                raise
            return picture


def _decoded(source: Source, short_side: int | None, needed: int | None) -> Picture:
    with _opened(source) as image:
        stored = image.size
        target = shrunk(stored, short_side)
        coarsest = shrunk(target, needed)
        drafted = None
        if image.format in ("JPEG", "MPO") and not isinstance(source, Image.Image):  # a caller's is not ours to change
            # JPEG decodes to 1/2, 1/4 or 1/8 at little cost; kept at twice the target or more, the
            # resize that follows is as good as one from all pixels
            drafted = image.draft(None, (2 * coarsest[0], 2 * coarsest[1]))
        copies = 2 if image.format in ("AVIF", "HEIF") else 1
        if copies * image.width * image.height > MAX_PIXELS:
            raise PictureTooLarge(_too_many(stored, short_side, MAX_PIXELS // copies))
        with _DECODING.of(copies * image.width * image.height, MAX_PIXELS):
            deep = loses_low_bytes(image)
            image.load()
            if image.format == "HEIF" and image.size != stored:
                raise PictureError("not of the size that its header says")
            # A TIFF may be turned by load(), which then drops its mark: so the mark is read after it.
            orientation = _orientation(image)
            rgb = _to_rgb(_with_low_bytes(image, source) if deep else image)
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


def small_jpeg(picture: Picture, side: int) -> bytes:
    """A JPEG for a page: its longer side at most ``side`` pixels, without the original's metadata.

    Where a photograph was taken is nobody's business.
    """
    image = Image.fromarray(picture.pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = BytesIO()
    image.save(content, "JPEG", quality=84, optimize=True, progressive=True)
    return content.getvalue()


def cut_squares(
    pictures: Sequence[Picture], boxes: Sequence[Box | None], side: int
) -> UInt8[ndarray, "n 3 {side} {side}"]:
    """Each box of its picture (None: the whole), resized to a square: the input of nets."""
    cut = [np.asarray(crop_square(p, box, side)) for p, box in zip(pictures, boxes, strict=True)]
    return np.stack(cut).transpose(0, 3, 1, 2)


def picture_size(source: Path | str | bytes) -> tuple[int, int]:
    """(width, height) after the EXIF turn, from a file's header alone: nothing is decoded.

    Raises ``PictureError`` if the file is missing or its header is none of ``FORMATS``; damage further
    on is found by ``read_picture`` only.
    """
    with _as_picture_error(_name(source)), _QUIET, _opened(source) as image:
        size = image.size
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # newer Pillows turn this size already
            size = (image.tag_v2[TiffImagePlugin.IMAGEWIDTH], image.tag_v2[TiffImagePlugin.IMAGELENGTH])
        return _swapped(size) if _orientation(image) in _SIDEWAYS else size


def exif_of(source: Path | str | bytes) -> Image.Exif:
    """The EXIF block of a picture, read without decoding its pixels; empty where it has none.

    Raises PictureError, as `read_picture` does. A PNG may hold its block behind the pixels: that one is not read.
    """
    with _as_picture_error(_name(source)), _opened(source) as image:
        late = isinstance(image, PngImagePlugin.PngImageFile) and "exif" not in image.info
        return Image.Exif() if late else image.getexif()


def _name(source: Source) -> str:
    """How errors call the picture; quoted, so that a hostile file name cannot write control characters."""
    if isinstance(source, Image.Image):
        source = str(getattr(source, "filename", "") or "<Pillow image>")
    if isinstance(source, (Path, str, Member)):
        return repr(str(source))
    return "'<array>'" if isinstance(source, ndarray) else "'<bytes>'"


@contextmanager
def _as_picture_error(name: str) -> Iterator[None]:
    """Within the context, turn any error into a ``PictureError`` about the picture ``name``."""
    try:
        yield
    except PictureError as error:
        raise type(error)(f"{name}: {error}") from None
    except UnidentifiedImageError:
        known = ", ".join((*FORMATS, "HEIC"))
        raise PictureError(f"{name}: not a picture of a known format ({known})") from None
    except Image.DecompressionBombError:
        raise PictureTooLarge(f"{name}: far too many pixels; shrink it first") from None
    except Exception as error:  # decoders fail on hostile bytes with nearly any type there is
        if out_of_memory(error):
            raise PictureNeedsMemory(f"{name}: not enough memory to decode it; shrink it first") from None
        system = error.strerror if isinstance(error, OSError) else None  # None in errors of decoders
        fault = "" if system else ", damaged or cut short"
        reason = system or str(error) or type(error).__name__
        raise PictureError(f"{name}: cannot be read{fault} ({visible(reason)[:200]})") from error


@contextmanager
def _opened(source: Source) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        yield source
    elif isinstance(source, ndarray):
        yield _from_array(source)
    else:
        with _file(source) as file:
            yield _open_image(file)


@contextmanager
def _file(source: Path | str | bytes | Member) -> Iterator[File]:
    """The file of a picture. Raises ``PictureError`` for what is none, or too large."""
    if isinstance(source, (bytes, Member)):
        yield BytesIO(source.read() if isinstance(source, Member) else source)
        return
    path = Path(source)
    if not path.exists():
        raise PictureError("no such file")
    if not path.is_file():  # opening a pipe or a device could wait for ever
        raise PictureError("not a regular file")
    if path.stat().st_size > MAX_BYTES:
        raise PictureError(f"larger than {MAX_BYTES >> 20} MiB; shrink it first")
    with path.open("rb") as file:
        yield file


def _open_image(file: File) -> ImageFile.ImageFile:
    """Read a picture's header, by the reader that its first bytes ask for."""
    head = file.read(256)
    if not head:
        raise PictureError("an empty file")
    if head.startswith(LFS_POINTER):
        raise PictureError("a pointer of Git LFS: fetch the pictures by git lfs pull")
    brands = _brands(head)
    file.seek(0)
    if not brands & (AVIF_BRANDS | HEIF_BRANDS):
        return Image.open(without_notes(file), formats=FORMATS)
    if file.seek(0, 2) > MAX_MEMBER_BYTES:
        raise PictureTooLarge(f"larger than {MAX_MEMBER_BYTES >> 20} MiB; shrink it or save it as JPEG first")
    file.seek(0)
    return Image.open(file, formats=["AVIF"]) if brands & AVIF_BRANDS else _open_heif(file)


def _brands(head: bytes) -> set[bytes]:
    """What a file of ISO's media format says it is, main brand and compatible ones; nothing for other files."""
    if head[4:8] != b"ftyp":
        return set()
    box = head[: int.from_bytes(head[:4], "big")]
    return {box[8:12], *(box[at : at + 4] for at in range(16, len(box), 4))}


def _open_heif(file: File) -> ImageFile.ImageFile:
    try:
        try:
            from pi_heif import HeifImageFile
        except ImportError:
            from pillow_heif import HeifImageFile
    except ImportError:
        remedy = "to read it: pip install 'wingbar[heif]'; or save it as JPEG"
        raise PictureError(f"a HEIC picture, as phones make them; {remedy}") from None
    return HeifImageFile(file)


def _without_end_mark(source: Source, short_side: int | None, needed: int | None) -> Picture | None:
    """The picture of a JPEG that holds all its pixels but ends before its end mark; None for any other file.

    Whether all are there is seen by what does not matter: three endings, of which two would add pixels of noise.
    """
    if isinstance(source, (Image.Image, ndarray)):
        return None
    with _file(source) as file:
        start = file.read(2)
        content = start + (file.read(MAX_MEMBER_BYTES) if start == JPEG_START else b"")
    content = content.removesuffix(b"\xff")  # half a mark
    if len(content) > MAX_MEMBER_BYTES or content.endswith(JPEG_END) or not _one_scan(content):
        return None
    endings = (b"", b"\x55" * 64, b"\xaa" * 64)
    first, *others = (_decoded(content + ending + JPEG_END, short_side, needed) for ending in endings)
    return first if all(np.array_equal(first.pixels, other.pixels) for other in others) else None


def _one_scan(jpeg: bytes) -> bool:
    """Whether a JPEG keeps all its colours in one scan: of one with several, whole scans could be missing."""
    at, colours = 2, 0
    while jpeg.startswith(JPEG_START) and jpeg[at : at + 1] == b"\xff" and at + 10 <= len(jpeg):
        kind, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if kind in (0xC0, 0xC1):
            colours = jpeg[at + 9]
        elif kind == 0xDA:
            return 0 < colours == jpeg[at + 4]
        at += 2 + length
    return False


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
    return Image.fromarray(plain if plain.dtype == np.uint8 else to_8_bits(plain))


def _too_many(size: tuple[int, int], short_side: int | None, limit: int) -> str:
    hint = "shrink it first" if short_side else "give short_side if it is a JPEG, or shrink it first"
    return f"{size[0]} x {size[1]} are more pixels than the limit, {limit:,}; {hint}"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # junk in EXIF says nothing about the pixels: the picture counts as upright
        return 1


def _swapped(size: tuple[int, int]) -> tuple[int, int]:
    return size[1], size[0]


def shrunk(size: tuple[int, int], short_side: int | None) -> tuple[int, int]:
    """The (width, height) of a picture of this ``size`` whose short side is at most ``short_side`` pixels."""
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
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        return Image.fromarray(to_8_bits(values)).convert("RGB")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _with_low_bytes(image: Image.Image, source: Source) -> Image.Image:
    """A decoded picture of 16-bit colours, scaled by what all 16 bits hold where the upper ones hold little."""
    high = np.asarray(image)
    if isinstance(source, (Image.Image, ndarray)) or high[..., :3].max() >= 64:  # more than 14 bits: scaled rightly
        return image
    with _file(source) as file:
        again = _open_image(file)
        load_low_bytes(again)
        values = high[..., :3].astype(np.uint16) << 8 | np.asarray(again)[..., :3]
    return Image.fromarray(np.concatenate([to_8_bits(values), high[..., 3:]], axis=-1))
