"""The demo: draw birds that differ in small marks only, learn them twice, compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wingbar._system.files import make_folder
from wingbar.boxes import Box
from wingbar.config import Config
from wingbar.data import load as load_data
from wingbar.data.layouts.annotations import with_boxes
from wingbar.data.sample import Sample
from wingbar.data.synthetic import telling_points, write_dataset
from wingbar.evaluation import error_reduction, mean_interval
from wingbar.evaluation.evaluate import Evaluation, evaluate
from wingbar.evaluation.summary import table
from wingbar.evaluation.tables import percent, percent_interval, render
from wingbar.guide import write_guide
from wingbar.prediction import Prediction
from wingbar.training import train

DRAWN: dict[str, Any] = {"classes": 8, "train": 40, "test": 30, "size": (240, 180)}
SETTINGS = Config(size=128, epochs=6)
PICTURES, ERASED = 8, 10


def demo(out: Path, device: Literal["auto", "cpu", "cuda", "mps"] = "auto") -> str:
    """Draw, learn twice, compare; the text to print. Steps already done in ``out`` are not done again.

    Raises RunError where ``out`` cannot be a folder, WeightsError where the starting weights cannot be had.
    """
    make_folder(out)
    birds = write_dataset(out / "birds", **DRAWN)
    train(birds, out / "plain", SETTINGS, method="plain", device=device)
    recognizer = train(birds, out / "field-marks", SETTINGS, device=device)
    plain, ours = (
        evaluate(out / "plain", device=device),
        evaluate(out / "field-marks", erased=ERASED, device=device),
    )
    samples = with_boxes(load_data(birds)).split("test")
    predictions = list(recognizer.predict_many([sample.path for sample in samples]))
    pictures = draw_sheets(samples, predictions, out / "pictures")
    guide = write_guide(out / "field-marks", per_class=PICTURES)
    return "\n\n".join([
        f"Look at {guide} in a browser, and at the sheets in {pictures}: what it looked at, and why.",
        comparison(plain, ours),
        marks_line(samples, predictions),
        table(ours),
    ])  # fmt: skip


def comparison(plain: Evaluation, ours: Evaluation) -> str:
    """A plain net beside field marks, with 95 % intervals, and the share of errors that these remove."""
    rows = [
        [name, percent_interval(c.top1, *c.top1_interval), percent(c.macro_recall)]
        for name, c in (("one plain net", plain.classification), ("field marks", ours.classification))
    ]
    text = render(["method", "top-1", "macro recall"], rows)
    removed = error_reduction(np.array(plain.correct), np.array(ours.correct))
    return text if removed is None else f"{text}\n\nField marks make {percent_interval(*removed)} fewer errors."


def marks_line(samples: Sequence[Sample], predictions: Sequence[Prediction]) -> str:
    """How many pictures have a part that holds what tells the species, which nobody has shown to the nets."""
    held = [
        any(holds(part.box, sample, points) for part in prediction.parts)
        for sample, prediction in zip(samples, predictions, strict=True)
        if (points := telling_points(sample.label))
    ]
    return f"A part holds what tells the species in {percent_interval(*mean_interval(np.array(held)))} of the pictures."


def holds(box: Box, sample: Sample, names: Sequence[str]) -> bool:
    """Whether one of the sample's keypoints with these ``names`` lies in the box."""
    x1, y1, x2, y2 = box
    return any(p.name in names and x1 <= p.x < x2 and y1 <= p.y < y2 for p in sample.keypoints)


def draw_sheets(samples: Sequence[Sample], predictions: Sequence[Prediction], folder: Path) -> Path:
    """Why each bird was given its name: a sheet for the first picture of each of the first classes."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = list(zip(samples, predictions, strict=True))
    first = {sample.label: prediction for sample, prediction in reversed(pairs)}
    for label in sorted(first)[:PICTURES]:
        first[label].plot().save(folder / f"{label + 1:03d}.png")
    return folder
