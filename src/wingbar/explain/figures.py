"""The three drawings of a photograph: with boxes, with the saliency map, and with the contrast of two classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from wingbar.boxes import Box
from wingbar.explain.contrast import Contrast, extremes
from wingbar.explain.lettering import Colour, lettered, write
from wingbar.explain.overlays import FIRST, PARTS, SECOND, diverging, heat, resized
from wingbar.explain.placing import part_names, place_labels
from wingbar.images import Picture

if TYPE_CHECKING:
    import wingbar.prediction

OBJECT = (255, 255, 255)
GROUND = (238, 238, 238)
LABEL_SIZE = 20


@dataclass(frozen=True, eq=False)
class Canvas:
    """A photograph that is scaled to fit a canvas, and the transform from its pixels to those of the canvas."""

    picture: Picture
    width: int
    most: int
    """The largest height of the canvas, in pixels."""
    least: int = 120
    """The smallest height of the canvas, in pixels."""

    @cached_property
    def fitted(self) -> tuple[int, int]:
        """The (width, height) of the photograph on the canvas, in pixels."""
        width, height = self.picture.size
        scale = min(self.width / width, self.most / height)
        return max(round(width * scale), 1), max(round(height * scale), 1)

    @property
    def size(self) -> tuple[int, int]:
        """The (width, height) of the canvas, in pixels."""
        return self.width, max(self.fitted[1], self.least)

    @property
    def corner(self) -> tuple[int, int]:
        """The (x, y) of the photograph's top left pixel on the canvas."""
        return (self.size[0] - self.fitted[0]) // 2, (self.size[1] - self.fitted[1]) // 2

    @cached_property
    def photograph(self) -> Image.Image:
        """The photograph, scaled to its size on the canvas."""
        return Image.fromarray(self.picture.pixels).resize(self.fitted, Image.Resampling.LANCZOS)

    def mounted(self, image: Image.Image) -> Image.Image:
        """Put an image that has the scaled photograph's size onto the canvas."""
        mount = Image.new("RGB", self.size, GROUND)
        mount.paste(image, self.corner)
        return mount

    def box(self, box: Box) -> Box:
        """Transform a box from pixels of the original picture to pixels of the canvas."""
        x, y = self.corner
        across, down = self.fitted[0] / self.picture.size[0], self.fitted[1] / self.picture.size[1]
        x1, y1, x2, y2 = box
        return round(x + x1 * across), round(y + y1 * down), round(x + x2 * across), round(y + y2 * down)


def boxes_figure(canvas: Canvas, prediction: wingbar.prediction.Prediction) -> Image.Image:
    """Draw the photograph with the object's box and the boxes of the parts, with their numbers."""
    image = canvas.mounted(canvas.photograph)
    draw = ImageDraw.Draw(image)
    boxes = [canvas.box(prediction.object_box), *(canvas.box(part.box) for part in prediction.parts)]
    names = ["object", *part_names([part.cluster for part in prediction.parts])]
    colours = [OBJECT, *(part_colour(part.cluster) for part in prediction.parts)]
    for box, colour in zip(boxes, colours, strict=True):
        outline(draw, box, colour)
    # The parts' labels are placed first: a part's number must stand at its box, the object's label may move.
    order = [*range(1, len(boxes)), 0]
    sizes = [tag_size(names[i]) for i in order]
    places = place_labels([boxes[i] for i in order], sizes, canvas.size, anywhere=True)
    for i, place in zip(order, places, strict=True):
        if place is not None:
            tag(draw, place, names[i], colours[i])
    return image


def heat_figure(canvas: Canvas, prediction: wingbar.prediction.Prediction) -> Image.Image:
    """Draw the photograph with its saliency as brightness."""
    pixels = heat(np.asarray(canvas.photograph), np.clip(resized(prediction.saliency_map, canvas.fitted), 0, 1))
    return canvas.mounted(Image.fromarray(pixels))


def contrast_figure(canvas: Canvas, comparison: Contrast) -> Image.Image:
    """Draw the contrast over the photograph: orange for class A, blue for B, a letter where each is strongest."""
    largest = full_colour(comparison)
    share = resized(comparison.evidence / largest, canvas.fitted)
    image = canvas.mounted(Image.fromarray(diverging(np.asarray(canvas.photograph), share)))
    draw = ImageDraw.Draw(image)
    marks = [(letter, at) for letter, at in zip("AB", extremes(comparison.evidence), strict=True) if at is not None]
    points = [
        (canvas.corner[0] + at[0] * canvas.fitted[0], canvas.corner[1] + at[1] * canvas.fitted[1]) for _, at in marks
    ]
    anchors = [(round(x) - 3, round(y) - 3, round(x) + 3, round(y) + 3) for x, y in points]
    places = place_labels(anchors, [tag_size("A")] * len(anchors), canvas.size, obstacles=anchors, anywhere=True)
    for (letter, _), anchor, place in zip(marks, anchors, places, strict=True):
        draw.ellipse(anchor, fill="white", outline="black")
        if place is not None:
            tag(draw, place, letter, FIRST if letter == "A" else SECOND)
    return image


def full_colour(comparison: Contrast) -> float:
    """The logits that get the full colour: the largest of the picture, at least 1, so that small values look small."""
    return max(float(np.abs(comparison.evidence).max()), 1.0)


def scale_bar(comparison: Contrast, width: int) -> Image.Image:
    """Draw the scale of the colours of `contrast_figure`, in logits."""
    largest = full_colour(comparison)
    image = Image.new("RGB", (width, 44), "white")
    shares = np.tile(np.linspace(-1, 1, width, dtype=np.float32), (14, 1))
    image.paste(Image.fromarray(diverging(np.full((14, width, 3), 255, np.uint8), shares)), (0, 0))
    draw = ImageDraw.Draw(image)
    write(draw, (0, 20), f"for B, {largest:.3g}", 16, width=width / 3)
    write(draw, (width / 2, 20), "logits", 16, width=width / 3, anchor="ma")
    write(draw, (width, 20), f"for A, {largest:.3g}", 16, width=width / 3, anchor="ra")
    return image


def part_colour(cluster: int) -> Colour:
    """The colour of a cluster's parts."""
    return PARTS[cluster % len(PARTS)]


def outline(draw: ImageDraw.ImageDraw, box: Box, colour: Colour) -> None:
    """Draw a box with dark edges, so that it can be seen on any background."""
    x1, y1, x2, y2 = box[0], box[1], max(box[2] - 1, box[0] + 6), max(box[3] - 1, box[1] + 6)
    draw.rectangle((x1, y1, x2, y2), outline=(0, 0, 0), width=5)
    draw.rectangle((x1 + 1, y1 + 1, x2 - 1, y2 - 1), outline=colour, width=3)


def tag_size(text: str) -> tuple[int, int]:
    """The (width, height) of a label with its background, in pixels."""
    shown, font = lettered(text, LABEL_SIZE)
    return max(round(font.getlength(shown)) + 12, LABEL_SIZE + 6), LABEL_SIZE + 8


def tag(draw: ImageDraw.ImageDraw, box: Box, text: str, colour: Colour) -> None:
    """Draw a label on a background of its colour, in black or white, whichever has more contrast."""
    draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour, outline=(0, 0, 0))
    middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    write(draw, middle, text, LABEL_SIZE, width=box[2] - box[0], fill=ink_on(colour), anchor="mm")


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever has more contrast with the colour."""
    return (0, 0, 0) if luminance(colour) > 0.18 else (255, 255, 255)


def luminance(colour: Colour) -> float:
    """The relative luminance of an sRGB colour by WCAG 2; at 0.18, the contrast with black and white is equal."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
