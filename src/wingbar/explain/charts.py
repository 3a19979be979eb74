"""Bar charts of scores, and of votes for either of two classes."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from wingbar.explain.lettering import PALE_INK, Colour, write
from wingbar.explain.overlays import FIRST, SECOND

TEXT = 18
ROW = 26
NAME = 150
"""The width of the column of names, in pixels."""
RULE = (170, 170, 170)


def score_bars(rows: Sequence[tuple[str, Sequence[float]]], colours: Sequence[Colour], width: int) -> Image.Image:
    """Draw a name and a bar for each class in each row, with percentages.

    Scores are in [0, 1], in the order of ``colours``; ``width`` is that of the image, in pixels.
    """
    bar = ROW - 6
    step = bar * len(colours) + 12
    image = Image.new("RGB", (width, step * len(rows)), "white")
    draw = ImageDraw.Draw(image)
    room = width - NAME - 70
    for row, (name, scores) in enumerate(rows):
        top = row * step
        write(draw, (0, top + bar * len(colours) / 2), name, TEXT, width=NAME - 10, anchor="lm")
        for place, (score, colour) in enumerate(zip(scores, colours, strict=True)):
            y = top + place * bar
            draw.rectangle((NAME, y + 2, NAME + round(room * score), y + bar - 2), fill=colour)
            write(draw, (NAME + round(room * score) + 8, y + bar / 2), f"{score:.0%}", 16, width=62, anchor="lm")
    draw.line((NAME, 0, NAME, image.height - 12), fill=RULE)
    return image


def vote_bars(rows: Sequence[tuple[str, float]], width: int) -> Image.Image:
    """Draw a name and a bar in each row: to the right of the middle for A, to the left for B.

    Votes are in [-1, 1]; ``width`` is that of the image, in pixels.
    """
    image = Image.new("RGB", (width, ROW * (len(rows) + 1)), "white")
    draw = ImageDraw.Draw(image)
    middle, room = NAME + (width - NAME) // 2, (width - NAME) // 2 - 64
    write(draw, (middle - room, 0), "for B", 16, width=room, fill=PALE_INK)
    write(draw, (middle + room, 0), "for A", 16, width=room, fill=PALE_INK, anchor="ra")
    for row, (name, vote) in enumerate(rows, start=1):
        y, end = row * ROW, middle + round(room * vote)
        write(draw, (0, y + ROW / 2), name, TEXT, width=NAME - 10, anchor="lm")
        draw.rectangle((min(middle, end), y + 4, max(middle, end), y + ROW - 4), fill=FIRST if vote >= 0 else SECOND)
        at, anchor = (end + 8, "lm") if vote >= 0 else (end - 8, "rm")
        write(draw, (at, y + ROW / 2), f"{100 * vote:+.0f}", 16, width=60, anchor=anchor)
    draw.line((middle, ROW, middle, image.height), fill=RULE)
    return image
