"""What a prediction costs: of one picture in forward passes, of many in seconds, beside a bare timm loop and ONNX.

    python benchmarks/prediction.py [--data DATA/cub50] [--runs NET:SIZE,...] [--quick] [--write]

Models are trained for one epoch on drawn birds: their speed does not depend on what they have learnt, and the pictures
that are predicted are real. All times are wall time, from the files on, with two threads. The bare loop is what one
writes with timm alone: open, resize, stack, normalise, run, at the size of the one-pass answer.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from _measure import Options, alternate, door, files, spread, table
from PIL import Image
from torch import nn

import wingbar
from wingbar.config import Config
from wingbar.data.synthetic import write_dataset
from wingbar.recognizer import Recognizer, Views

RUNS = "mobilenetv2_100:160,res2net50_26w_4s:224"
THREADS, BATCH = 2, 16


def models(net: str, size: int, folder: Path) -> tuple[Recognizer, Recognizer]:
    """A recogniser of one epoch on a few drawn birds, and its export."""
    birds = write_dataset(folder / "birds", classes=3, train=8, test=1, size=(160, 120))
    config = Config(net=net, weights="none", size=size, epochs=1, follow_epochs=1, batch_size=8, workers=0)
    recognizer = wingbar.train(birds, folder / "run", config, quiet=True)
    wingbar.export(folder / "run", folder / "onnx")
    return recognizer, wingbar.load(folder / "onnx", runtime="onnx")


@torch.no_grad()
def bare(net: nn.Module, paths: Sequence[Path], size: int) -> None:
    """A loop over batches as one writes it with timm alone."""
    mean, deviation = (torch.tensor(net.default_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    for start in range(0, len(paths), BATCH):
        some = [Image.open(path).convert("RGB").resize((size, size)) for path in paths[start : start + BATCH]]
        pixels = torch.from_numpy(np.stack([np.asarray(one) for one in some])).permute(0, 3, 1, 2)
        net((pixels.float() / 255 - mean) / deviation).softmax(1)


@torch.no_grad()
def single(recognizer: Recognizer, net: nn.Module, paths: Sequence[Path], repeats: int) -> list[object]:
    """Milliseconds of a prediction and of a forward pass, and their ratio."""
    side = recognizer.card.eval_size
    square, pictures = torch.randn(1, 3, side, side).to(memory_format=torch.channels_last), iter([*paths] * repeats)
    sides: dict[str, Callable[[], object]] = {
        "prediction": lambda: recognizer.predict(next(pictures)),
        "pass": lambda: net(square),
    }
    timed = alternate(sides, repeats, clock=time.perf_counter)
    return [*(1e3 * timed.median(side) for side in sides), timed.ratio("prediction", "pass")]


def many(recognizer: Recognizer, exported: Recognizer, net: nn.Module, paths: Sequence[Path]) -> list[list[object]]:
    """Seconds of each way to name all the pictures, the ways in turn."""

    def named(by: Recognizer, views: Views) -> Callable[[], object]:
        return lambda: [one.label for one in by.predict_many(paths, views=views)]

    sides: dict[str, Callable[[], object]] = {
        "all views": named(recognizer, "all"),
        "all views, ONNX": named(exported, "all"),
        "one pass": named(recognizer, "picture"),
        "bare timm loop": lambda: bare(net, paths, recognizer.card.picture_size),
    }
    timed = alternate(sides, 3, clock=time.perf_counter)
    return [[name, timed.median(name), len(paths) / timed.median(name)] for name in sides]


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    torch.set_num_threads(THREADS)
    paths = files(options.data)
    chosen = [paths[key] for key in spread(list(paths), options.number(500, 16))]
    singles, rows = [], []
    runs = [(name, int(size)) for name, _, size in (one.partition(":") for one in options.arguments.runs.split(","))]
    for name, size in runs[: options.number(len(runs), 1)]:
        with tempfile.TemporaryDirectory() as folder:
            recognizer, exported = models(name, size, Path(folder))
            net = timm.create_model(name, num_classes=3).eval().to(memory_format=torch.channels_last)
            marks = len(recognizer.card.mark_sides)
            singles.append([name, size, marks, *single(recognizer, net, chosen, options.number(25, 2))])
            some = chosen if size < 200 else chosen[: len(chosen) // 4]
            rows += [[name, len(some), *row] for row in many(recognizer, exported, net, some)]
    return f"""## A prediction

One picture, from its file on, with {THREADS} threads; a pass is timm's net on one square of that size:

{table(("net", "px", "marks", "ms a prediction", "ms a forward pass", "passes' time"), singles)}

It shows the net the whole picture at 1.4 times that size, the object with its surroundings, the object, and each mark.
Many pictures (`predict_many`, batches of {BATCH}), from their files on; a loop of one's own with timm names the whole
pictures at the same size as the answer from one pass:

{table(("net", "pictures", "way", "seconds", "pictures/s"), rows)}"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own options."""
    parser.add_argument("--runs", default=RUNS, help="nets and sides in pixels, NET:SIZE,...")


if __name__ == "__main__":
    door(measure, __doc__, arguments)
