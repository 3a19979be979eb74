"""What a refit is worth: field marks trained on four fifths of the training pictures, and judged on the others.

    python benchmarks/refit.py DATA/cub50 OUT --classes 20

The test split is not read. Of the four fifths a fifth is held out by the first training; the refit learns from it too.
Both runs share the steps of the first training; OUT is for one choice of classes and fold.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

import wingbar
from wingbar.config import Config
from wingbar.data import load
from wingbar.data.sample import Dataset
from wingbar.data.splits import folds
from wingbar.evaluation import error_reduction, mean_interval
from wingbar.evaluation.evaluate import evaluate
from wingbar.evaluation.tables import percent_interval, render

FOLDS = 5


def judged_on_training_pictures(dataset: Dataset, fold: int) -> Dataset:
    """The training pictures alone, one fold of them as the test split."""
    training = dataset.split("train")
    asked = set(folds(np.array([sample.label for sample in training]), FOLDS, seed=0)[fold][1].tolist())
    return replace(
        dataset, samples=tuple(replace(s, split="test") if i in asked else s for i, s in enumerate(training))
    )


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--classes", type=int, default=0, help="the first so many classes; 0: all")
    parser.add_argument("--fold", type=int, default=0, choices=range(FOLDS))
    parser.add_argument("--net", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    dataset = load(options.data)
    dataset = judged_on_training_pictures(
        dataset.first_classes(options.classes) if options.classes else dataset, options.fold
    )
    settings = Config(net=options.net, size=options.size, epochs=options.epochs, workers=0)
    rows, first = [], None
    for name, refit in (("first", False), ("refit", True)):
        run = options.out / name
        if refit and not run.exists():
            shutil.copytree(options.out / "first" / "steps", run / "steps")
        wingbar.train(dataset, run, replace(settings, refit=refit))
        evaluate(run, dataset)
        found = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
        right = np.array(found["correct"], float)
        first = right if first is None else first
        removed = error_reduction(first, right) if refit else None
        rows.append([
            name, percent_interval(*mean_interval(right)), f"{found['calibration']['nll']:.3f}",
            percent_interval(*removed) if removed else "-",
        ])  # fmt: skip
    print(render(["run", "top-1 (95 % interval)", "NLL", "errors removed by the refit"], rows))


if __name__ == "__main__":
    main()
