"""Species that a model does not know: ten classes are left out of the training, and shown to it with the others.

    python benchmarks/strangers.py DATA OUT --draws 0 1 2 3 4
    python benchmarks/strangers.py DATA OUT --draws 0 --left-out 30 --net mobilenetv2_100 --size 160

A draw is the seed of which classes are left out, and of the training. Runs already in OUT are not trained again. The
test split is read at the end, once a run. OSCR counts known pictures that are named rightly and kept, over all shares
of strangers that are kept by mistake.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

import wingbar
from wingbar.config import Config
from wingbar.data import load
from wingbar.data.sample import Dataset
from wingbar.evaluation.evaluate import Evaluation, evaluate
from wingbar.evaluation.strangers import OpenSetFigures
from wingbar.evaluation.tables import percent, percent_interval, render


def without(dataset: Dataset, left_out: int, draw: int) -> Dataset:
    """The data set less ``left_out`` classes drawn at random."""
    count = len(dataset.classes)
    kept = np.sort(np.random.default_rng(draw).permutation(count)[left_out:]).tolist()
    label = {old: new for new, old in enumerate(kept)}
    samples = tuple(replace(one, label=label[one.label]) for one in dataset.samples if one.label in label)
    return replace(dataset, classes=tuple(dataset.classes[old] for old in kept), samples=samples)


def rows_of(draw: int, evaluation: Evaluation) -> list[list[str]]:
    """Figures of a draw by `Prediction.known` and by the largest probability."""
    told, named = evaluation.strangers, evaluation.classification
    assert told is not None and told.known is not None and told.score is not None and told.caught is not None
    shares = [percent_interval(*one) for one in ((named.top1, *named.top1_interval), told.refused, told.caught)]
    return [
        ["`known`", str(draw), *figures(told.known), *shares],
        ["largest score", str(draw), *figures(told.score), "", "", ""],
    ]


def figures(by: OpenSetFigures) -> list[str]:
    """AUROC, false positives and OSCR."""
    return [f"{by.auroc.value:.3f}", percent(by.fpr95), f"{by.oscr:.3f}"]


def main() -> None:
    """Train what is missing, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--draws", type=int, nargs="+", default=[0])
    parser.add_argument("--left-out", type=int, default=10)
    parser.add_argument("--net", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=160)
    options = parser.parse_args()
    whole, rows = load(options.data), []
    for draw in options.draws:
        config = Config(net=options.net, size=options.size, seed=draw)
        wingbar.train(without(whole, options.left_out, draw), options.out / str(draw), config)
    for draw in options.draws:
        rows += rows_of(draw, evaluate(options.out / str(draw), whole, erased=0))
    header = (
        "told by",
        "draw",
        "AUROC",
        "FPR at 95 % TPR",
        "OSCR",
        "top-1 of the known",
        "known refused",
        "strangers caught",
    )
    print(render(header, rows))


if __name__ == "__main__":
    main()
