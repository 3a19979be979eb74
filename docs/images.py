"""Draws the pictures of README and docs into docs/images, from drawn birds alone:

python docs/images.py              the species
python docs/images.py demo/field-marks    and what a run of `make demo` looked at
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import numpy as np
from PIL import Image, ImageDraw
from playwright.sync_api import sync_playwright

import wingbar
from wingbar.boxes import Box, with_context
from wingbar.data import load as load_data
from wingbar.data.sample import Dataset, Sample
from wingbar.data.synthetic import SPECIES, draw_bird
from wingbar.evaluation.localization import paired_iou
from wingbar.explain import panel
from wingbar.explain.erasing import erasures
from wingbar.explain.figures import Canvas, boxes_figure, heat_figure
from wingbar.explain.lettering import write
from wingbar.images import read_picture
from wingbar.prediction import Prediction
from wingbar.serve.review.app import create_app
from wingbar.serve.review.decisions import Decisions
from wingbar.serve.review.desk import Reference
from wingbar.serve.review.server import set_up
from wingbar.serve.server import LOCAL_NAMES, Server, address, listen

FOLDER = Path(__file__).parent / "images"
SHOWN = 8
BIRD = 3
"""Seed of the bird that wears every species' marks."""
CELL = (240, 180)
QUALITY = 82
REVIEWED = 10
"""Every how many-th test picture is reviewed."""


def species(seed: int) -> Image.Image:
    """The first species of the drawn birds: one bird, other marks."""
    cells = []
    for label in range(SHOWN):
        drawn = draw_bird(label, seed, (480, 360), classes=SHOWN)
        box = with_context(drawn.box, (480, 360), 0.1)
        cells.append((Image.fromarray(drawn.pixels).crop(wide(box, (480, 360))), SPECIES[label][0]))
    return table(cells, columns=4)


def wide(box: Box, size: tuple[int, int]) -> Box:
    """The smallest window of a cell's shape around a box, inside the picture."""
    height = min(max(box[3] - box[1], (box[2] - box[0]) * CELL[1] / CELL[0]), size[1])
    width = height * CELL[0] / CELL[1]
    x = min(max((box[0] + box[2] - width) / 2, 0), size[0] - width)
    y = min(max((box[1] + box[3] - height) / 2, 0), size[1] - height)
    return round(x), round(y), round(x + width), round(y + height)


def table(cells: Sequence[tuple[Image.Image, str]], columns: int) -> Image.Image:
    """Pictures with a line of text below each."""
    gap, line = 12, 28
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * (CELL[0] + gap) - gap, rows * (CELL[1] + line + gap) - gap), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (image, text) in enumerate(cells):
        x, y = number % columns * (CELL[0] + gap), number // columns * (CELL[1] + line + gap)
        sheet.paste(image.resize(CELL, Image.Resampling.LANCZOS), (x, y))
        write(draw, (x + CELL[0] / 2, y + CELL[1] + line / 2), text, 16, width=CELL[0], anchor="mm")
    return sheet


def steps(prediction: Prediction, path: Path) -> Image.Image:
    """A picture, where the net looked, the object's box, its parts."""
    canvas = Canvas(read_picture(path), 480, 360)
    object_alone = Prediction(prediction.path, prediction.size, prediction.scores, prediction.object_box)
    cells = [
        (canvas.photograph, "the picture"),
        (heat_figure(canvas, prediction), "where ClassNet looked"),
        (boxes_figure(canvas, object_alone), "the object"),
        (boxes_figure(canvas, prediction), "and its telling parts"),
    ]
    return table(cells, columns=4)


def telling(recognizer: wingbar.Recognizer, samples: Sequence[Sample]) -> tuple[Sample, Prediction]:
    """The test picture, among those named rightly and surely, whose object is boxed best: an example, no sample."""
    predictions = zip(samples, recognizer.predict_many([sample.path for sample in samples]), strict=True)
    sure = [(s, p) for s, p in predictions if p.label == recognizer.classes[s.label] and p.score > 0.6]
    return max(sure, key=lambda pair: paired_iou(np.array([pair[1].object_box]), np.array([pair[0].box]))[0])


def review(recognizer: wingbar.Recognizer, dataset: Dataset) -> Image.Image:
    """The page of `wingbar review` over some test pictures, in Chromium."""
    with TemporaryDirectory() as folder, listen("127.0.0.1", 0) as listener, sync_playwright() as playwright:
        photos = Path(folder, "photos")
        photos.mkdir()
        for number, sample in enumerate(dataset.split("test")[::REVIEWED]):
            shutil.copy(sample.path, photos / f"photo-{number:02d}{sample.path.suffix}")
        labelled = [Reference(one.path, dataset.classes[one.label]) for one in dataset.split("train")]
        server = Server(create_app(set_up(recognizer, photos, labelled, Decisions(Path(folder)), 16), LOCAL_NAMES))
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 720})
        page.goto(address(listener))
        page.wait_for_selector("#result:not([hidden])")
        page.wait_for_load_state("networkidle")
        content = page.screenshot(full_page=True)
        browser.close()
        server.should_exit = True
        thread.join()
    return Image.open(BytesIO(content)).convert("RGB")


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="run folder of drawn birds, as `make demo` leaves it")
    run = parser.parse_args().run
    save("species", species(BIRD))
    if run is not None:
        recognizer = wingbar.load(run)
        dataset = load_data(recognizer.card.data.source)
        save("review", review(recognizer, dataset))
        sample, prediction = telling(recognizer, dataset.split("test"))
        save("steps", steps(prediction, sample.path))
        picture = read_picture(sample.path)
        erased = erasures(recognizer.predict_many, picture, prediction, (picture, prediction.object_box))
        save("explain", panel(picture, prediction, erased))


def save(name: str, image: Image.Image) -> None:
    """A small file of it."""
    FOLDER.mkdir(exist_ok=True)
    image.save(FOLDER / f"{name}.webp", quality=QUALITY, method=6)


if __name__ == "__main__":
    main()
