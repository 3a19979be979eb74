"""What a finished run loses and gains by learning more classes with its net as it is (`train --based-on`).

    python benchmarks/new_classes.py DATA OUT --old 15 --classes 20 --seeds 0

For each seed a run of the old classes, one that goes on from it with all classes, and one that learns all classes in
full. Runs already in OUT are not trained again. The test split is read at the end, once a run.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import wingbar
from wingbar.config import Config
from wingbar.data import load
from wingbar.data.sample import Dataset
from wingbar.evaluation.evaluate import evaluate
from wingbar.evaluation.tables import percent, render


def trained(run: Path, dataset: Dataset, config: Config, **how: Any) -> str:
    """Train a run that is not there yet; the seconds of CPU that it took, a dash for one that is there."""
    if (run / "model" / "recognizer.json").exists():
        return "-"
    begun = time.process_time()
    wingbar.train(dataset, run, config, **how)
    return f"{time.process_time() - begun:.0f}"


def recalls(run: Path, dataset: Dataset, old: int) -> tuple[float | None, ...]:
    """The share of test pictures named rightly: of the old classes, of the new ones, of all."""
    if not (run / "evaluation.json").exists():
        evaluate(run, dataset, erased=0)
    rows = json.loads((run / "evaluation.json").read_text())["classification"]["per_class"]
    counts = np.array([row["count"] for row in rows])
    right = np.array([row["count"] * row["recall"] for row in rows])

    def share(some: slice) -> float | None:
        return float(right[some].sum() / counts[some].sum()) if counts[some].sum() else None

    return share(slice(old)), share(slice(old, None)), share(slice(None))


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--old", type=int, default=15)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--net", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    whole = load(options.data)
    few, many = whole.first_classes(options.old), whole.first_classes(options.classes)
    rows = []
    for seed in options.seeds:
        config = Config(net=options.net, size=options.size, seed=seed, workers=0)
        base, more, full = (options.out / f"{name}-{seed}" for name in ("old", "more", "full"))
        for name, run, dataset, how in (
            ("the old classes alone", base, few, {}),
            ("the same net, a new head", more, many, {"based_on": base}),
            ("all classes in full", full, many, {}),
        ):
            seconds = trained(run, dataset, config, **how)
            shares = recalls(run, dataset, options.old)
            rows.append([name, str(seed), *map(percent, shares), seconds])
    print(render(["run", "seed", "old classes", "new classes", "all", "CPU seconds"], rows))


if __name__ == "__main__":
    main()
