"""What the discriminant alone gives: a plain net on the test pictures by its own head, and with the discriminant added.

    python benchmarks/plain_head.py DATA PLAIN FIELD_MARKS --classes 20

PLAIN and FIELD_MARKS are runs of one seed. The discriminant is fitted to training pictures, both temperatures to those
that were held out. The test split is read once for both rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray
from safetensors.numpy import load_file

import wingbar
from wingbar.data import load
from wingbar.data.sample import Sample
from wingbar.evaluation import error_reduction, mean_interval
from wingbar.evaluation.tables import percent_interval, render
from wingbar.images import cut_squares, read_picture
from wingbar.opam.calibration import fit_temperature, mean_loss
from wingbar.opam.joint import fit_beside
from wingbar.recognizer import Recognizer
from wingbar.steps.strangers import some_of_each

AT_ONCE = 16


def read(recognizer: Recognizer, samples: Sequence[Sample]) -> tuple[ndarray, ndarray]:
    """What the head says of each picture and its mirror, and what it sees, ``[pictures, 1, channels]``."""
    outputs = []
    for first in range(0, len(samples), AT_ONCE):
        pictures = [read_picture(sample.path) for sample in samples[first : first + AT_ONCE]]
        squares = cut_squares(pictures, [None] * len(pictures), recognizer.card.picture_size)
        outputs.append(recognizer.runtime.picture(squares))
    logits, features = (np.concatenate([getattr(one, name) for one in outputs]) for name in ("logits", "features"))
    return logits, features[:, None]


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("plain", type=Path)
    parser.add_argument("field_marks", type=Path)
    parser.add_argument("--classes", type=int, default=0, help="the first so many classes; 0: all")
    options = parser.parse_args()
    dataset = load(options.data)
    if options.classes:
        dataset = dataset.first_classes(options.classes)
    samples = dataset.split("train")
    labels, test = (np.array([sample.label for sample in some]) for some in (samples, dataset.split("test")))
    held = load_file(options.plain / "steps" / "data" / "result.safetensors")["validation"]
    fitted = some_of_each(labels, np.setdiff1d(np.arange(len(samples)), held))
    recognizer = wingbar.load(options.plain)
    beside = fit_beside(*read(recognizer, [samples[i] for i in fitted]), labels[fitted])
    known, seen = read(recognizer, [samples[i] for i in held])
    asked, shown = read(recognizer, dataset.split("test"))
    both = known + beside.logits(seen), asked + beside.logits(shown)
    ours = np.array(json.loads((options.field_marks / "evaluation.json").read_text())["correct"])
    rows = []
    for name, (validation, judged) in (("its own head", (known, asked)), ("with the discriminant", both)):
        logits = judged / fit_temperature(validation, labels[held])
        right = logits.argmax(1) == test
        removed = error_reduction(right.astype(float), ours)
        against = percent_interval(*removed) if removed else "-"
        rows.append([name, percent_interval(*mean_interval(right)), f"{mean_loss(logits, test):.3f}", against])
    print(render(["plain net", "top-1 (95 % interval)", "NLL", "errors removed by field marks"], rows))


if __name__ == "__main__":
    main()
