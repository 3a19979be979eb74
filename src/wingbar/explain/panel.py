"""A sheet for each picture, 1200 pixels wide: the prediction, its saliency and the contrast of the best two classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from wingbar._system.files import write_bytes
from wingbar._system.text import display_names, slug
from wingbar.boxes import Box
from wingbar.explain.charts import score_bars, vote_bars
from wingbar.explain.contrast import Contrast, contrast
from wingbar.explain.erasing import Ask, Erasures, erasures
from wingbar.explain.figures import Canvas, boxes_figure, contrast_figure, heat_figure, ink_on, scale_bar
from wingbar.explain.lettering import PALE_INK, paragraph, write
from wingbar.explain.overlays import FIRST, SECOND
from wingbar.explain.placing import part_names
from wingbar.images import READ_SIDE, Picture, read_picture

if TYPE_CHECKING:
    import wingbar.prediction

WIDTH = 1200
MARGIN = 24
COLUMN = (WIDTH - 3 * MARGIN) // 2
TALLEST = 480
"""The largest height of a photograph, in pixels."""
SEVERAL = 5
"""Candidates that are listed at most."""
BRIGHT = "Bright: what speaks for the predicted class, by the net of the whole picture. It can lie beside the object."
COLOURS = "Orange: what speaks for A, by the net of the whole picture; blue: for B. Letters: the strongest places."


def draw_panels(
    predictions: Iterable[wingbar.prediction.Prediction], folder: Path, ask: Ask
) -> Iterator[tuple[wingbar.prediction.Prediction, Path | None]]:
    """Draw a sheet for each prediction; yields the prediction and the path of its PNG in ``folder``.

    ``ask`` is the `predict_many` that predicted; it is asked again with parts hidden. The path is None for an
    unreadable picture. The name of a sheet consists of the number of the picture in the list, which makes it unique,
    and the safe letters of the name of the picture. Raises RunError if a sheet cannot be written.
    """
    other: tuple[Picture, Box] | None = None
    for number, prediction in enumerate(predictions, start=1):
        if prediction.error is not None:
            yield prediction, None
            continue
        name = "-".join(filter(None, [f"{number:04d}", slug(Path(file_name(prediction.path or "")).stem)]))
        content = BytesIO()
        picture = read_picture(prediction.path or "", short_side=READ_SIDE)
        this = (picture, prediction.object_box)
        erased = erasures(ask, picture, prediction, other or this) if prediction.parts else None
        other = this
        panel(picture, prediction, erased).save(content, "PNG")
        write_bytes(folder / f"{name}.png", content.getvalue())
        yield prediction, folder / f"{name}.png"


def panel(picture: Picture, prediction: wingbar.prediction.Prediction, erased: Erasures | None = None) -> Image.Image:
    """Draw the sheet of a picture, with what hiding its parts costs if that is known.

    Raises PictureError if the picture could not be read.
    """
    comparison = contrast(prediction)
    canvas = Canvas(picture, COLUMN, TALLEST)
    boxes = stack([boxes_figure(canvas, prediction), paragraph(where_text(prediction), 18, COLUMN)], 8)
    saliency = stack([heat_figure(canvas, prediction), paragraph(BRIGHT, 18, COLUMN)], 8)
    captions = [
        scale_bar(comparison, COLUMN),
        paragraph(COLOURS, 18, COLUMN),
        paragraph(sum_text(comparison), 18, COLUMN),
    ]
    evidence = stack([contrast_figure(canvas, comparison), *captions], 8)
    return with_margin(
        stack(
            [
                header(prediction, comparison),
                *verdict(prediction),
                beside([boxes, saliency]),
                beside([evidence, votes(prediction, comparison, erased)]),
            ],
            MARGIN,
        )
    )


def header(prediction: wingbar.prediction.Prediction, comparison: Contrast) -> Image.Image:
    """Draw both classes with their scores and colours, and the name of the file."""
    shown = dict(zip(prediction.scores, display_names(list(prediction.scores)), strict=True))
    width = WIDTH - 2 * MARGIN
    image = Image.new("RGB", (width, 96), "white")
    draw = ImageDraw.Draw(image)
    rows = (("A", comparison.first, FIRST, 34, 0), ("B", comparison.second, SECOND, 24, 52))
    for letter, name, colour, size, y in rows:
        side = size + 8
        draw.rectangle((0, y, side, y + side), fill=colour)
        write(draw, (side / 2, y + side / 2), letter, size - 6, width=side, fill=ink_on(colour), anchor="mm")
        score = f"{prediction.scores[name]:.1%}"
        write(draw, (60, y + side / 2), score, size, width=130, anchor="lm")
        write(draw, (196, y + side / 2), shown[name], size, width=width - 196, anchor="lm")
    if prediction.path is not None:
        write(draw, (width, 86), file_name(prediction.path), 16, width=width / 3, fill=PALE_INK, anchor="rd")
    return image


def verdict(prediction: wingbar.prediction.Prediction) -> list[Image.Image]:
    """Draw what the scores alone do not say: that it may be none of the classes, or one of a few."""
    several = prediction.candidates() if prediction.held_out else ()
    answer = None if prediction.stranger else prediction.worth_telling()
    if prediction.stranger:
        text = f"Probably none of the {len(prediction.scores)} classes: A is the one that it looks most like."
    elif 1 < len(several) <= SEVERAL:
        text = f"Nine times in ten it is one of: {', '.join(display_names(several))}."
    else:
        text = ""
    texts = [one for one in (text, answer.text if answer else "") if one]
    return [paragraph(one, 22, WIDTH - 2 * MARGIN, (20, 20, 20)) for one in texts]


def file_name(path: str) -> str:
    """The last component of a path, with slashes or backslashes."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def votes(
    prediction: wingbar.prediction.Prediction, comparison: Contrast, erased: Erasures | None = None
) -> Image.Image:
    """Draw the scores of each stream, the votes of the streams and parts, and what hiding the parts costs."""
    scores = [("together", prediction.scores), *prediction.streams.items()]
    bars = [(name, [row[comparison.first], row[comparison.second]]) for name, row in scores]
    streams = [("together", comparison.fused), *comparison.streams.items()]
    names = part_names([part.cluster for part in prediction.parts])
    parts = sorted(zip([f"part {name}" for name in names], comparison.parts, strict=True), key=lambda row: -row[1])
    blocks = [
        heading("Scores of each stream"),
        score_bars(bars, [FIRST, SECOND], COLUMN),
        heading("Why A, not B: percent for A minus that for B"),
        vote_bars([*streams, *parts], COLUMN),
    ]
    if erased is not None:
        blocks += [heading("What if it were hidden?"), paragraph(erased_text(names, erased), 18, COLUMN)]
    return stack(blocks, 10)


def erased_text(names: Sequence[str], erased: Erasures) -> str:
    """How much of A's lead over B is lost with each part erased, beside a random place, and with the object erased."""
    rows = zip(names, erased.part_falls, erased.random_falls, strict=True)
    parts = " ".join(
        f"Without part {name} it is {erased.margin - part:+.1f}, without a random piece of the object of that size "
        f"{erased.margin - random:+.1f}."
        for name, part, random in rows
    )
    return (
        f"A leads B by {erased.margin:+.1f} (log odds). {parts} Without the object, by its background alone, it is "
        f"{erased.margin - erased.object_fall:+.1f}."
    )


def heading(text: str) -> Image.Image:
    """Draw the title of a block."""
    return paragraph(text, 22, COLUMN, (20, 20, 20))


def where_text(prediction: wingbar.prediction.Prediction) -> str:
    """The legend of the boxes."""
    if not prediction.parts:
        return "White: the object that was found."
    return "White: the object. Numbers: the parts. A number means the same kind of part in every picture."


def sum_text(comparison: Contrast) -> str:
    """A sentence about the difference of the logits: the mean of the map, and the difference of the biases."""
    places = float(comparison.evidence.mean())
    return (
        f"Logit of A minus logit of B: {places:+.2f} from all places of the picture {comparison.leaning:+.2f} "
        f"from the biases, the same for every picture = {places + comparison.leaning:+.2f}."
    )


def stack(images: Sequence[Image.Image], gap: int) -> Image.Image:
    """Put images below one another on white, ``gap`` pixels apart."""
    height = sum(image.height for image in images) + gap * (len(images) - 1)
    sheet = Image.new("RGB", (max(image.width for image in images), height), "white")
    y = 0
    for image in images:
        sheet.paste(image, (0, y))
        y += image.height + gap
    return sheet


def beside(images: Sequence[Image.Image]) -> Image.Image:
    """Put images beside one another on white, a margin apart."""
    width = sum(image.width for image in images) + MARGIN * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(image.height for image in images)), "white")
    x = 0
    for image in images:
        sheet.paste(image, (x, 0))
        x += image.width + MARGIN
    return sheet


def with_margin(image: Image.Image) -> Image.Image:
    """Add a white margin on all sides."""
    sheet = Image.new("RGB", (image.width + 2 * MARGIN, image.height + 2 * MARGIN), "white")
    sheet.paste(image, (MARGIN, MARGIN))
    return sheet
