"""Whether a place matters: it is erased, and the recogniser is asked again.

    fall(box) = m(picture) - mean over fills of m(picture with the box filled)

m is the margin of the answer: log p(a) - log p(b) by all streams together, a being the class that was named for the
whole picture and b the next. A box is filled in three ways (`FILLS`), because each fill is itself something to be seen.
The fall of a part means something beside the fall of a random box of the same size on the same object: erasing any
piece of an object costs some margin. With the object erased, the answer says what the background alone tells.

Occlusion is from Zeiler and Fergus, "Visualizing and understanding convolutional networks" (ECCV 2014); the random
boxes are the control that Hooker et al., "A benchmark for interpretability methods" (NeurIPS 2019) ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageFilter

from wingbar.boxes import Box, as_box, rescale
from wingbar.errors import PictureError
from wingbar.explain.contrast import log_odds
from wingbar.images import Picture

if TYPE_CHECKING:
    from wingbar.prediction import Prediction

FILLS = ("mean colour", "blurred", "background")
"""The picture's mean colour; the box blurred into its surroundings; background of another picture."""
BLUR = 0.5
"""Standard deviation of the blur, as a share of the box's shorter side."""
RIM = 0.1
"""Share of a picture's side that is taken for background where the object leaves less."""

Pixels = UInt8[ndarray, "height width 3"]
Ask = Callable[[Iterable[Pixels]], Iterable["Prediction"]]
"""`Recognizer.predict_many`."""


@dataclass(frozen=True, eq=False)
class Erasures:
    """Margins of one picture's answer with places of it erased, in logits. Falls are differences from ``margin``."""

    margin: float
    """Of the whole picture."""
    parts: Float[ndarray, "parts fills"]
    """With each part erased."""
    random: Float[ndarray, "parts fills"]
    """With a random box of the part's size on the object erased, another one for each fill."""
    whole_object: Float[ndarray, "fills"]
    """With the object erased."""
    background: tuple[str, ...]
    """The class named with the object erased, by fill."""

    @property
    def part_falls(self) -> Float[ndarray, "parts"]:
        """How much the margin falls with each part erased, mean over the fills."""
        return self.margin - self.parts.mean(1)

    @property
    def random_falls(self) -> Float[ndarray, "parts"]:
        """The same of the random boxes of each part's size."""
        return self.margin - self.random.mean(1)

    @property
    def object_fall(self) -> float:
        """How much the margin falls with the object erased, mean over the fills."""
        return self.margin - float(self.whole_object.mean())


def erasures(ask: Ask, picture: Picture, prediction: Prediction, other: tuple[Picture, Box], seed: int = 0) -> Erasures:
    """Erase each part of a picture, random boxes and the object, and ask again.

    ``prediction`` is what ``ask`` said of the whole picture; ``other`` is another picture and the object's box in it,
    in pixels of the original, whose background is one of the fills. ``seed`` draws the random boxes.
    Raises PictureError for a picture that could not be read.
    """
    first, second = prediction.label, list(prediction.scores)[1]
    rng = np.random.default_rng(seed)
    parts = [part.box for part in prediction.parts]
    controls = [[random_box(box, prediction.object_box, rng) for _ in FILLS] for box in parts]
    places = [*([box] * len(FILLS) for box in parts), *controls, [prediction.object_box] * len(FILLS)]
    answers = list(ask(_variants(picture, places, background(*other))))
    for answer in answers:
        if answer.error is not None:
            raise PictureError(answer.error)
    margins = np.array([log_odds(answer.scores, first, second) for answer in answers]).reshape(-1, len(FILLS))
    of_parts, of_random, of_object = np.split(margins, [len(parts), 2 * len(parts)])
    return Erasures(
        log_odds(prediction.scores, first, second), of_parts, of_random, of_object[0],
        tuple(answer.label for answer in answers[-len(FILLS) :]),
    )  # fmt: skip


def _variants(picture: Picture, places: Sequence[Sequence[Box]], other: Pixels) -> Iterator[Pixels]:
    """The picture with each place erased, by each fill: ``places`` has one box a fill."""
    height, width = picture.pixels.shape[:2]
    for boxes in places:
        for box, fill in zip(boxes, FILLS, strict=True):
            yield filled(picture.pixels, as_box(rescale(np.array(box), picture.size, (width, height))), fill, other)


def filled(pixels: Pixels, box: Box, fill: str, other: UInt8[ndarray, "rows columns 3"]) -> Pixels:
    """A picture with something else in the place of a ``box``; ``other`` is background of another picture."""
    x1, y1, x2, y2 = box
    if fill == "mean colour":
        patch = pixels.mean((0, 1)).round().astype(np.uint8)
    elif fill == "blurred":
        sigma = BLUR * min(x2 - x1, y2 - y1)
        patch = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))[y1:y2, x1:x2]
    else:
        patch = np.asarray(Image.fromarray(other).resize((x2 - x1, y2 - y1), Image.Resampling.BICUBIC))
    erased = pixels.copy()
    erased[y1:y2, x1:x2] = patch
    return erased


def random_box(box: Box, inside: Box, rng: np.random.Generator) -> Box:
    """A box of the same size somewhere ``inside`` another; where it does not fit, its middle lies there."""
    intervals = []
    for start, stop, low, high in ((box[0], box[2], inside[0], inside[2]), (box[1], box[3], inside[1], inside[3])):
        length = stop - start
        reach = (low, high - length) if high - low >= length else (low - length // 2, high - length // 2)
        drawn = max(int(rng.integers(reach[0], reach[1] + 1)), 0)
        intervals.append((drawn, drawn + length))
    (x1, x2), (y1, y2) = intervals
    return (x1, y1, x2, y2)


def background(picture: Picture, object_box: Box) -> Pixels:
    """The largest strip beside a picture's object, at least `RIM` of the side wide."""
    height, width = picture.pixels.shape[:2]
    x1, y1, x2, y2 = rescale(np.array(object_box), picture.size, (width, height)).tolist()
    across, down = max(round(RIM * width), 1), max(round(RIM * height), 1)
    strips = [
        picture.pixels[:, : max(x1, across)],
        picture.pixels[:, min(x2, width - across) :],
        picture.pixels[: max(y1, down)],
        picture.pixels[min(y2, height - down) :],
    ]
    return max(strips, key=lambda strip: strip.shape[0] * strip.shape[1])
