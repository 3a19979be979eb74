"""The demo: draw birds that differ in small marks only, learn them twice, compare."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from wingbar._system.files import make_folder
from wingbar.config import Config, LocalizationSettings, PartSettings
from wingbar.data import load as load_data
from wingbar.data.synthetic import write_dataset
from wingbar.evaluation import error_reduction
from wingbar.evaluation.evaluate import Evaluation, evaluate
from wingbar.evaluation.summary import table
from wingbar.evaluation.tables import percent, percent_interval, render
from wingbar.pipeline import train
from wingbar.recognizer import Recognizer

DRAWN: dict[str, Any] = {"classes": 8, "train": 80, "test": 30, "size": (240, 180)}
SETTINGS = Config(
    method="opam",
    net="res2net_nano",
    weights="none",
    size=96,
    epochs=24,
    follow_epochs=15,
    batch_size=16,
    learning_rate=3e-3,
    training={"scale": [0.6, 1.0], "jitter": 0.2},
    eval_size=112,
    # A net without pretrained weights looks at the marks alone: boxes have to grow to the bird.
    localization=LocalizationSettings(rules=("cam otsu grown", "cam fraction 0.5 grown"), learn=False, margin=0.4),
    parts=PartSettings(count=2),
)
PICTURES, ERASED = 8, 20


def demo(out: Path) -> str:
    """Draw, learn twice, compare; the text to print. Steps already done in ``out`` are not done again.

    Raises RunError where ``out`` cannot be a folder.
    """
    make_folder(out)
    birds = write_dataset(out / "birds", **DRAWN)
    train(birds, out / "plain", SETTINGS, method="plain")
    # OPAM's FilterNet is the plain net: the same step, so it is taken over instead of trained twice.
    if not (out / "opam" / "steps").exists():
        shutil.copytree(out / "plain" / "steps", out / "opam" / "steps")
    recognizer = train(birds, out / "opam", SETTINGS)
    plain, opam = evaluate(out / "plain"), evaluate(out / "opam", erased=ERASED)
    pictures = draw_panels(recognizer, birds, out / "pictures")
    return f"{comparison(plain, opam)}\n\n{table(opam)}\n\npictures: {pictures}"


def comparison(plain: Evaluation, opam: Evaluation) -> str:
    """Plain beside OPAM, with 95 % intervals, and the share of errors that OPAM removes."""
    rows = [
        [name, percent_interval(c.top1, *c.top1_interval), percent(c.macro_recall)]
        for name, c in (("plain classifier", plain.classification), ("OPAM", opam.classification))
    ]
    text = render(["method", "top-1", "macro recall"], rows)
    removed = error_reduction(np.array(plain.correct), np.array(opam.correct))
    return text if removed is None else f"{text}\n\nOPAM makes {percent_interval(*removed)} fewer errors."


def draw_panels(recognizer: Recognizer, birds: Path, folder: Path) -> Path:
    """What OPAM looked at, one picture for each of the first classes."""
    folder.mkdir(parents=True, exist_ok=True)
    first = {sample.label: sample for sample in reversed(load_data(birds).split("test"))}
    samples = [first[label] for label in sorted(first)[:PICTURES]]
    for sample, prediction in zip(samples, recognizer.predict_many([s.path for s in samples]), strict=True):
        prediction.plot().save(folder / f"{sample.label + 1:03d}.png")
    return folder
