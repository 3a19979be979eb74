"""What a whole prediction costs, in forward passes of its backbone, and where the time of many goes.

    python benchmarks/prediction.py DATA/cub50 [--nets mobilenetv2_100:160 res2net50_26w_4s:224] [--pictures 500]

Models are trained for one epoch on drawn birds: their speed does not depend on what they have learnt, and the pictures
that are predicted are real. One picture: a prediction from the file's bytes on, and one eager forward pass of the
backbone at the same size, in turn, medians. Many pictures: time in nets is wall time, the rest is processor time of the
threads that did it, so that what overlaps adds up to more than the whole.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import wingbar
from wingbar import recognizer as module
from wingbar.config import Config, FilterSettings
from wingbar.data import load
from wingbar.data.synthetic import write_dataset
from wingbar.evaluation.tables import render
from wingbar.nets import create
from wingbar.recognizer import Recognizer

REPEATS = 25


def model(net: str, size: int, folder: Path) -> Recognizer:
    """A recogniser of one epoch on a few drawn birds."""
    birds = write_dataset(folder / "birds", classes=3, train=8, test=1, size=(160, 120))
    config = Config(
        net=net, weights="none", size=size, epochs=1, follow_epochs=1, batch_size=8, workers=0,
        filtering=FilterSettings(enabled=False),
    )  # fmt: skip
    return wingbar.train(birds, folder / "run", config, quiet=True)


def single(recognizer: Recognizer, pictures: list[Path]) -> list[str]:
    """Milliseconds of a prediction and of a forward pass, and their ratio."""
    card = recognizer.card
    backbone = create(card["net"], len(recognizer.classes)).eval().to(memory_format=torch.channels_last)
    square = torch.randn(1, 3, card["test_size"], card["test_size"]).to(memory_format=torch.channels_last)
    whole, passes = [], []
    for path in [pictures[0], *pictures[:REPEATS]]:  # the first warms up
        started = time.perf_counter()
        recognizer.predict(path)
        between = time.perf_counter()
        with torch.no_grad():
            backbone(square)
        whole.append(between - started)
        passes.append(time.perf_counter() - between)
    one, other = np.median(whole[1:]), np.median(passes[1:])
    return [f"{card['net']}, {card['test_size']} px", f"{1e3 * one:.0f}", f"{1e3 * other:.0f}", f"{one / other:.1f}"]


def many(recognizer: Recognizer, pictures: list[Path]) -> list[list[str]]:
    """Where the time of many predictions goes."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, clock: Callable[[], float], call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            started = clock()
            try:
                return call(*args)
            finally:
                spent[name] += clock() - started

        return wrapped

    runtime, patches = recognizer.runtime, {"decoding": "_read", "proposals": "propose", "crops": "squares"}
    with mock.patch.multiple(
        runtime, **{name: timed("nets", time.perf_counter, getattr(runtime, name)) for name in ("look", "judge")}
    ):
        for label, name in patches.items():
            patch = mock.patch.object(module, name, timed(label, time.thread_time, getattr(module, name)))
            patch.start()
        started, processor = time.perf_counter(), time.process_time()
        for _ in recognizer.predict_many(pictures):
            pass
        wall, processor = time.perf_counter() - started, time.process_time() - processor
        mock.patch.stopall()
    rows = [[name, f"{seconds:.1f}", f"{seconds / wall:.0%}"] for name, seconds in spent.items()]
    return [
        *rows,
        ["all threads, processor time", f"{processor:.1f}", f"{processor / wall:.0%}"],
        [f"wall time of {len(pictures)} pictures", f"{wall:.1f}", "100%"],
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--nets", nargs="+", default=["mobilenetv2_100:160", "res2net50_26w_4s:224"])
    parser.add_argument("--pictures", type=int, default=500)
    options = parser.parse_args()
    pictures = [sample.path for sample in load(options.data).split("test")][: options.pictures]
    singles, tables = [], []
    for text in options.nets:
        net, size = text.split(":")
        with tempfile.TemporaryDirectory() as folder:
            recognizer = model(net, int(size), Path(folder))
            singles.append(single(recognizer, pictures))
            shares = many(recognizer, pictures)
        tables.append(f"{net}, {size} px:\n\n" + render(["where", "seconds", "share of wall time"], shares))
    print(render(["net", "ms a prediction", "ms a forward pass", "passes"], singles), *tables, sep="\n\n")


if __name__ == "__main__":
    main()
