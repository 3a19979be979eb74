"""The tables of docs/results.md: plain against OPAM, and OPAM without each of its pieces.

    python benchmarks/results.py DATA OUT --classes 20 --seeds 0 1
    python benchmarks/results.py DATA OUT --seeds 0 --rows plain opam

Runs already in OUT are not trained again. Variants share the steps that they do not change with the full run of
their seed. The test split is read at the end, once a run.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import wingbar
from wingbar.config import Config
from wingbar.data import load
from wingbar.data.sample import Dataset
from wingbar.evaluation import error_reduction, mean_interval
from wingbar.evaluation.evaluate import evaluate
from wingbar.evaluation.tables import percent, percent_interval, render
from wingbar.opam.alignment import AlignmentSettings
from wingbar.opam.filtering import FilterSettings
from wingbar.opam.parts import PartSettings

SAME_COMPUTE, MORE_COMPUTE = 256, 320
"""Sides of the pictures of the rivals that spend their compute on larger pictures.

Both nets see a picture and its mirror: two passes at 256 px cost what OPAM's five cost at 160 px; two at 320 px cost
1.6 times that.
"""

ROWS: dict[str, dict[str, Any]] = {
    "opam": {},
    "plain": {"method": "plain"},
    "patches scored one by one": {"filtering": FilterSettings(scorer="crop")},
    "without patch filtering": {"filtering": FilterSettings(enabled=False)},
    "without object constraint": {"parts": PartSettings(object_constraint=False)},
    "without part constraint": {"parts": PartSettings(part_constraint=False)},
    "a head for each cluster": {"alignment": AlignmentSettings(heads="per-cluster")},
    "plain at 256 px": {"method": "plain", "size": SAME_COMPUTE},
    "plain at 320 px": {"method": "plain", "size": MORE_COMPUTE},
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
            wingbar.train(dataset, run, Config(**{**settings, **ROWS[row]}, seed=seed, workers=0))


def judge_rows(dataset: Dataset, out: Path, rows: list[str], seeds: list[int]) -> None:
    """Read the test split once for each run that has not been judged yet."""
    for seed in seeds:
        for row in rows:
            run = folder(out, row, seed)
            if (run / "model" / "recognizer.json").exists() and not (run / "evaluation.json").exists():
                evaluate(run, dataset)


def read(out: Path, row: str, seed: int) -> dict[str, Any] | None:
    """The evaluation of one run."""
    path = folder(out, row, seed) / "evaluation.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def accuracy_table(out: Path, rows: list[str], seeds: list[int]) -> str:
    """Top-1 of every row, seed by seed, pooled over seeds with a 95 % interval; errors removed against plain."""
    lines = []
    for row in rows:
        judged = {seed: found for seed in seeds if (found := read(out, row, seed))}
        if not judged:
            continue
        # Seeds are averaged picture by picture: the same picture under another seed is no new evidence.
        right = np.mean([found["correct"] for found in judged.values()], axis=0)
        plain = [found["correct"] for seed in judged if (found := read(out, "plain", seed))]
        removed = "-"
        if row != "plain" and len(plain) == len(judged):
            estimate = error_reduction(np.mean(plain, axis=0), right)
            removed = percent_interval(*estimate) if estimate else "-"
        by_seed = " / ".join(percent(found["classification"]["top1"]) for found in judged.values())
        lines.append([row, by_seed, percent_interval(*mean_interval(right)), removed])
    return render(["row", "top-1 by seed", "mean (95 % interval)", "errors removed against plain"], lines)


def stream_table(out: Path, seeds: list[int]) -> str:
    """Top-1 of each stream and combination of the full run."""
    judged = [found for seed in seeds if (found := read(out, "opam", seed))]
    if not judged:
        return ""
    names = judged[0]["combinations"]
    rows = [[name, *(percent(found["combinations"][name]) for found in judged)] for name in names]
    return render(["streams", *(f"seed {seed}" for seed in seeds[: len(judged)])], rows)


def box_table(out: Path, seeds: list[int]) -> str:
    """Object boxes beside the centre box."""
    rows = []
    for seed in seeds:
        found = read(out, "opam", seed)
        for name, key in (("our box", "ours"), ("centre box", "centre")) if found else ():
            row = found["localization"][key]
            v2 = row["max_box_acc"]
            share = percent_interval(row["share"]["0.5"], *row["share_interval"])
            fixed = " / ".join(percent(v) for v in row["share"].values())
            per_iou = " / ".join(percent(v) for v in v2["per_iou"].values())
            of_map = f"{percent(v2['mean'])} ({per_iou})"
            rows.append([name, str(seed), share, fixed, f"{row['mean_iou']:.3f}", of_map])
    columns = ["box", "seed", "IoU >= 0.5", "IoU >= .3 / .5 / .7", "mean IoU", "MaxBoxAccV2 of the map (.3 / .5 / .7)"]
    return render(columns, rows)


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--classes", type=int, default=0, help="the first so many classes; 0: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--net", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--tables-only", action="store_true", help="judge and print what is trained")
    options = parser.parse_args()
    dataset = load(options.data)
    if options.classes:
        dataset = dataset.first_classes(options.classes)
    settings = {"net": options.net, "size": options.size, "epochs": options.epochs}
    if not options.tables_only:
        train_rows(dataset, options.out, options.rows, options.seeds, settings)
    judge_rows(dataset, options.out, options.rows, options.seeds)
    print(
        accuracy_table(options.out, options.rows, options.seeds), stream_table(options.out, options.seeds), sep="\n\n"
    )
    print(f"\n{box_table(options.out, options.seeds)}")


if __name__ == "__main__":
    main()
