"""What a recogniser looked at, as a picture: the photograph with its boxes beside the heat map."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from wingbar.images import Picture
from wingbar.prediction import Prediction

PANEL_SIDE = 480
"""Height of a panel's pictures, in pixels."""
OBJECT_COLOUR = (255, 255, 255)
PART_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167))
"""Okabe and Ito's colour-blind safe palette, by cluster."""


def panel(picture: Picture, prediction: Prediction) -> Image.Image:
    """Photograph with object and parts, heat map, and the label beneath."""
    scale = PANEL_SIDE / picture.size[1]
    width = max(round(picture.size[0] * scale), 1)
    photograph = Image.fromarray(picture.pixels).resize((width, PANEL_SIDE), Image.Resampling.LANCZOS)
    heat = Image.fromarray(overlay(np.asarray(photograph), resized(prediction.saliency, (width, PANEL_SIDE))))
    draw = ImageDraw.Draw(photograph)
    outline(draw, prediction.object_box, scale, OBJECT_COLOUR)
    for part in prediction.parts:
        outline(draw, part.box, scale, PART_COLOURS[part.cluster % len(PART_COLOURS)])
    font = ImageFont.load_default(size=22)
    sheet = Image.new("RGB", (2 * width + 10, PANEL_SIDE + 36), "white")
    sheet.paste(photograph, (0, 0))
    sheet.paste(heat, (width + 10, 0))
    text = f"{prediction.label}  {prediction.score:.0%}".encode("ascii", "replace").decode()
    ImageDraw.Draw(sheet).text((4, PANEL_SIDE + 5), text, fill="black", font=font)
    return sheet


def overlay(
    pixels: UInt8[ndarray, "height width 3"], saliency: Float[ndarray, "height width"]
) -> UInt8[ndarray, "height width 3"]:
    """The picture darkened where the net did not look; brightness alone, so every eye can read it."""
    return np.round(pixels * (0.15 + 0.85 * saliency[..., None])).astype(np.uint8)


def resized(saliency: Float[ndarray, "h w"], size: tuple[int, int]) -> Float[ndarray, "height width"]:
    """A saliency map at another size, in [0, 1]."""
    return np.clip(np.asarray(Image.fromarray(saliency).resize(size, Image.Resampling.BILINEAR)), 0, 1)


def outline(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], scale: float, colour: tuple[int, int, int]
) -> None:
    """A box of the original picture, drawn with a dark edge so that it stands out on any ground."""
    corners = [round(v * scale) for v in box]
    draw.rectangle(corners, outline=(0, 0, 0), width=5)
    draw.rectangle([corners[0] + 1, corners[1] + 1, corners[2] - 1, corners[3] - 1], outline=colour, width=3)
