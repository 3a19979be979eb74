"""Text in pictures. No font has the letters of all scripts, and Pillow's built-in font has only those of ASCII.

Each text is drawn in the first font of ``FONTS`` on this machine that has all its letters, or else in the font that
lacks the fewest. Pillow's font comes last, so that there is always one. A letter that the font lacks is written as its
number (``\\u9ce5``), never as a box, and never left out. A text has one font only, because joined scripts need it.
"""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from wingbar._system.text import escaped, printable

FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "segoeui.ttf", "Arial Unicode.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "msyh.ttc", "PingFang.ttc",
    "NotoSansArabic-Regular.ttf", "NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf", "Nirmala.ttf",
)  # fmt: skip
NO_LETTER = "\U0010ffff"
INK = (20, 20, 20)
PALE_INK = (90, 90, 90)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]


@lru_cache(maxsize=16)
def fonts(size: int) -> tuple[Font, ...]:
    """The fonts of ``FONTS`` that this machine has, in that order, and Pillow's font."""
    installed: list[Font] = []
    for name in FONTS:
        try:
            installed.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    return (*installed, ImageFont.load_default(size))


@lru_cache(maxsize=4096)
def has_letter(font: Font, letter: str) -> bool:
    """Whether a font has a letter: whether it draws it differently from `NO_LETTER`, which no font has."""
    mask, missing = font.getmask(letter), font.getmask(NO_LETTER)
    return (mask.size, bytes(mask)) != (missing.size, bytes(missing))


def lettered(text: str, size: int) -> tuple[str, Font]:
    """A text as it can be drawn, and the font to draw it in; ``size`` is in pixels."""
    text = printable(text)
    font = min(fonts(size), key=lambda font: sum(not has_letter(font, letter) for letter in text))
    return "".join(letter if has_letter(font, letter) else escaped(letter) for letter in text), font


def fitted(text: str, size: int, width: float) -> tuple[str, Font]:
    """`lettered`, but a text that is wider than ``width`` pixels is cut and ends with three dots."""
    shown, font = lettered(text, size)
    if font.getlength(shown) <= width:
        return shown, font
    while shown and font.getlength(shown + "...") > width:
        shown = shown[:-1]
    return shown + "...", font


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    *,
    width: float,
    fill: Colour = INK,
    anchor: str = "la",
) -> None:
    """Draw one line of text, at most ``width`` pixels wide; ``anchor`` is Pillow's."""
    shown, font = fitted(text, size, width)
    draw.text(at, shown, fill=fill, font=font, anchor=anchor)


def paragraph(text: str, size: int, width: int, fill: Colour = PALE_INK) -> Image.Image:
    """Draw a text on white, broken at spaces into as many lines as ``width`` pixels require."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and fitted(longer, size, width)[0] == lettered(longer, size)[0]:
            lines[-1] = longer
        else:
            lines.append(word)
    step = round(size * 1.35)
    image = Image.new("RGB", (width, max(step * len(lines), 1)), "white")
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        write(draw, (0, row * step), line, size, width=width, fill=fill)
    return image
