"""The tables of docs/results.md: plain, OPAM and field marks, and OPAM without each of its pieces.

    python benchmarks/results.py DATA OUT --classes 20 --seeds 0 1
    python benchmarks/results.py DATA OUT --seeds 0 --rows plain field-marks

Runs already in OUT are not trained again. Variants of OPAM share the steps that they do not change with the full run of
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
from wingbar.data.taxonomy import with_taxonomy
from wingbar.evaluation import error_reduction, mean_interval
from wingbar.evaluation.evaluate import evaluate
from wingbar.evaluation.tables import percent, percent_interval, render
from wingbar.opam.alignment import AlignmentSettings
from wingbar.opam.filtering import FilterSettings
from wingbar.opam.parts import PartSettings

SAME_COMPUTE, MORE_COMPUTE = 1.58, 2.0
"""How many times larger the pictures are of the rivals that spend their compute on size.

The plain net sees a picture and its mirror. At 1.58 times the side these two passes cost what five cost at the side:
OPAM's, or those of field marks with two marks and at most as many. At twice the side they cost 1.6 times that.
"""
METHODS = ("field-marks", "opam")
"""Whose streams and boxes are tabled."""
ROWS: dict[str, dict[str, Any]] = {
    "plain": {"method": "plain"},
    "plain, the same compute": {"method": "plain", "size": SAME_COMPUTE},
    "plain, 1.6 times the compute": {"method": "plain", "size": MORE_COMPUTE},
    "opam": {"method": "opam"},
    "field-marks": {"method": "field-marks"},
    "patches scored one by one": {"method": "opam", "filtering": FilterSettings(scorer="crop")},
    "without patch filtering": {"method": "opam", "filtering": FilterSettings(enabled=False)},
    "without object constraint": {"method": "opam", "parts": PartSettings(object_constraint=False)},
    "without part constraint": {"method": "opam", "parts": PartSettings(part_constraint=False)},
    "a head for each cluster": {"method": "opam", "alignment": AlignmentSettings(heads="per-cluster")},
}
"""Settings of each row; a size is a multiple of the others'."""


def folder(out: Path, row: str, seed: int) -> Path:
    """The run folder of one row and seed."""
    return out / f"{row.replace(',', '').replace(' ', '-')}-{seed}"


def train_rows(dataset: Dataset, out: Path, rows: list[str], seeds: list[int], settings: dict[str, Any]) -> None:
    """Train what is missing, the full run of each seed first."""
    for seed in seeds:
        for row in rows:
            run = folder(out, row, seed)
            full = folder(out, "opam", seed) / "steps"
            if ROWS[row]["method"] == "opam" and not run.exists() and full.exists():
                shutil.copytree(full, run / "steps")
            chosen = {**settings, **ROWS[row]}
            if "size" in ROWS[row]:
                chosen["size"] = round(settings["size"] * ROWS[row]["size"] / 32) * 32
            wingbar.train(dataset, run, Config(**chosen, seed=seed, workers=0))


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
    """Top-1 of every row, seed by seed, pooled over seeds with a 95 % interval; errors removed against both rivals."""
    lines = []
    for row in rows:
        judged = {seed: found for seed in seeds if (found := read(out, row, seed))}
        if not judged:
            continue
        # Seeds are averaged picture by picture: the same picture under another seed is no new evidence.
        right = np.mean([found["correct"] for found in judged.values()], axis=0)
        by_seed = " / ".join(percent(found["classification"]["top1"]) for found in judged.values())
        against = [removed(out, rival, row, right, list(judged)) for rival in list(ROWS)[:2]]
        lines.append([row, by_seed, percent_interval(*mean_interval(right)), *against])
    rivals = [f"errors removed against {rival}" for rival in list(ROWS)[:2]]
    return render(["row", "top-1 by seed", "mean (95 % interval)", *rivals], lines)


def removed(out: Path, rival: str, row: str, right: np.ndarray, seeds: list[int]) -> str:
    """The share of a rival's errors that a row does not make, with its interval."""
    theirs = [found["correct"] for seed in seeds if (found := read(out, rival, seed))]
    if row == rival or len(theirs) < len(seeds):
        return "-"
    estimate = error_reduction(np.mean(theirs, axis=0), right)
    return percent_interval(*estimate) if estimate else "-"


def stream_table(out: Path, row: str, seeds: list[int]) -> str:
    """Top-1 of each stream and combination of a full run."""
    judged = {seed: found for seed in seeds if (found := read(out, row, seed))}
    names = next(iter(judged.values()))["combinations"] if judged else ()
    rows = [[name, *(percent(found["combinations"][name]) for found in judged.values())] for name in names]
    return render([f"streams of {row}", *(f"seed {seed}" for seed in judged)], rows)


def box_table(out: Path, seeds: list[int]) -> str:
    """Object boxes of each method beside the centre box."""
    rows = []
    for method, seed in ((method, seed) for method in METHODS for seed in seeds):
        found = read(out, method, seed)
        for name, key in ((method, "ours"), ("centre box", "centre")) if found else ():
            row = found["localization"][key]
            share = percent_interval(row["share"]["0.5"], *row["share_interval"])
            fixed = " / ".join(percent(v) for v in row["share"].values())
            rows.append([name, str(seed), share, fixed, f"{row['mean_iou']:.3f}"])
    return render(["box", "seed", "IoU >= 0.5", "IoU >= .3 / .5 / .7", "mean IoU"], rows)


def part_table(out: Path, seeds: list[int]) -> str:
    """What the parts of each method hold, how large they are, and what erasing them costs."""
    rows = []
    for method, seed in ((method, seed) for method in METHODS for seed in seeds):
        found = read(out, method, seed)
        evidence = found and found.get("evidence")
        ratio = f"{evidence['part'][0]:.2f} / {evidence['random'][0]:.2f}" if evidence else "-"
        for cluster in found["parts"]["clusters"] if found else ():
            held = sorted(cluster["holds"].items(), key=lambda item: -(item[1] or 0))[:4]
            holds = ", ".join(f"{name} {percent(share)}" for name, share in held)
            rows.append([method, str(seed), str(cluster["cluster"]), f"{cluster['relative_area']:.2f}", holds, ratio])
    columns = ["method", "seed", "part", "area", "holds", "margin's fall: part / random box"]
    return render(columns, rows)


def answer_table(out: Path, rows: list[str], seeds: list[int]) -> str:
    """How many pictures are answered by class, genus, family at an accuracy, and how many of these rightly."""
    lines = []
    for row, seed in ((row, seed) for row in rows for seed in seeds):
        answers = (read(out, row, seed) or {}).get("answers")
        if answers:
            fixed = f"class, a score of {answers['accuracy']:g}"
            ways = {**answers["levels"], "any": answers["any_level"], fixed: answers["cut_off"]}
            for name, way in ways.items():
                right = percent_interval(*way["right"]) if way["right"] else "-"
                lines.append([row, str(seed), name, percent(way["share"]), right])
    return render(["row", "seed", "answered by", "pictures", "right of these"], lines)


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
    parser.add_argument(
        "--taxonomy", type=Path, help="a table of genera and families, as benchmarks/taxonomy-cub50.csv"
    )
    parser.add_argument("--tables-only", action="store_true", help="judge and print what is trained")
    options = parser.parse_args()
    dataset = load(options.data)
    if options.classes:
        dataset = dataset.first_classes(options.classes)
    dataset = with_taxonomy(dataset, options.taxonomy)
    settings = {"net": options.net, "size": options.size, "epochs": options.epochs}
    if not options.tables_only:
        train_rows(dataset, options.out, options.rows, options.seeds, settings)
    judge_rows(dataset, options.out, options.rows, options.seeds)
    print(accuracy_table(options.out, options.rows, options.seeds))
    for method in METHODS:
        print(f"\n{stream_table(options.out, method, options.seeds)}")
    print(f"\n{box_table(options.out, options.seeds)}\n\n{part_table(options.out, options.seeds)}")
    print(f"\n{answer_table(options.out, options.rows, options.seeds)}")


if __name__ == "__main__":
    main()
