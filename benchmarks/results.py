"""The tables of docs/results.md: plain against OPAM, and OPAM without each of its pieces.

    python benchmarks/results.py DATA OUT --classes 20 --seeds 0 1
    python benchmarks/results.py DATA OUT --seeds 0 --rows plain opam

Runs already in OUT are not trained again. Variants share the steps that they do not change with the full run of
their seed. The test split is read at the end, once a run.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import wingbar
from wingbar.config import Config, FilterSettings, PartSettings
from wingbar.data import load
from wingbar.data.sample import Dataset

SAME_COMPUTE = 320
"""Side of the pictures of the rival that spends its compute on larger pictures."""

ROWS: dict[str, dict[str, Any]] = {
    "opam": {},
    "plain": {"method": "plain"},
    "without patch filtering": {"filtering": FilterSettings(enabled=False)},
    "without object constraint": {"parts": PartSettings(object_constraint=False)},
    "without part constraint": {"parts": PartSettings(part_constraint=False)},
    "a head for each cluster": {"parts": PartSettings(heads="per-cluster")},
    "plain at 320 px": {"method": "plain", "size": SAME_COMPUTE},
}


def folder(out: Path, row: str, seed: int) -> Path:
    """The run folder of one row and seed."""
    return out / f"{row.replace(' ', '-')}-{seed}"


def train_rows(dataset: Dataset, out: Path, rows: list[str], seeds: list[int], settings: dict[str, Any]) -> None:
    """Train what is missing, the full run of each seed first."""
    for seed in seeds:
        for row in rows:
            run = folder(out, row, seed)
            full = folder(out, "opam", seed) / "steps"
            if not run.exists() and full.exists():
                shutil.copytree(full, run / "steps")
            overrides = {**settings, **ROWS[row]}
            if row == "plain at 320 px" and "plain_epochs" in settings:
                overrides["epochs"] = settings["plain_epochs"]
            overrides.pop("plain_epochs", None)
            wingbar.train(dataset, run, Config(**overrides, seed=seed, workers=0))


def main() -> None:
    """Train and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--classes", type=int, default=0, help="the first so many classes; 0: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--net", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--large-epochs", type=int, default=8, help="of the plain net on larger pictures")
    options = parser.parse_args()
    dataset = load(options.data)
    if options.classes:
        dataset = dataset.first_classes(options.classes)
    settings = {"net": options.net, "size": options.size, "epochs": options.epochs}
    train_rows(dataset, options.out, options.rows, options.seeds, {**settings, "plain_epochs": options.large_epochs})


if __name__ == "__main__":
    main()
