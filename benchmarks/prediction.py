"""What a whole prediction costs, in forward passes of its backbone, and where the time of many goes.

    python benchmarks/prediction.py [--data DATA/cub50] [--quick] [--write]

Models are trained for one epoch on drawn birds: their speed does not depend on what they have learnt, and the pictures
that are predicted are real. One picture: a prediction from its file on, and one eager forward pass of the backbone at
the same size, in turn, medians, wall time. Many pictures: time in nets is wall time, the rest is processor time of the
threads that did it, so what overlaps adds up to more than the whole.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from _measure import Options, alternate, door, files, spread, table

import wingbar
from wingbar import recognizer as module
from wingbar.config import Config
from wingbar.data.synthetic import write_dataset
from wingbar.nets import create
from wingbar.opam.filtering import FilterSettings
from wingbar.recognizer import Recognizer

NETS = {"mobilenetv2_100": 160, "res2net50_26w_4s": 224}
THREADS = 2


def model(net: str, size: int, folder: Path) -> Recognizer:
    """A recogniser of one epoch on a few drawn birds."""
    birds = write_dataset(folder / "birds", classes=3, train=8, test=1, size=(160, 120))
    config = Config(
        method="opam", net=net, weights="none", size=size, epochs=1, follow_epochs=1, batch_size=8, workers=0,
        filtering=FilterSettings(enabled=False),
    )  # fmt: skip
    return wingbar.train(birds, folder / "run", config, quiet=True)


@torch.no_grad()
def single(recognizer: Recognizer, paths: list[Path], repeats: int) -> list[object]:
    """Milliseconds of a prediction and of a forward pass, and their ratio."""
    card = recognizer.card
    backbone = create(card.net, len(recognizer.classes)).eval().to(memory_format=torch.channels_last)
    square = torch.randn(1, 3, card.eval_size, card.eval_size).to(memory_format=torch.channels_last)
    pictures = iter(paths * repeats)
    sides: dict[str, Callable[[], object]] = {
        "prediction": lambda: recognizer.predict(next(pictures)),
        "pass": lambda: backbone(square),
    }
    timed = alternate(sides, repeats, clock=time.perf_counter)
    milliseconds = [1e3 * timed.median(side) for side in sides]
    return [card.net, card.eval_size, *milliseconds, timed.ratio("prediction", "pass")]


def many(recognizer: Recognizer, paths: list[Path]) -> list[list[object]]:
    """Where the time of many predictions goes."""
    spent: dict[str, float] = defaultdict(float)

    def watched(name: str, clock: Callable[[], float], call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            started = clock()
            try:
                return call(*given)
            finally:
                spent[name] += clock() - started

        return wrapped

    places = [(recognizer.runtime, "look", "nets"), (recognizer.runtime, "judge", "nets")]
    threads = [(module, "_read", "decoding"), (module, "propose", "proposals"), (module, "squares", "crops")]
    with ExitStack() as stack:
        for owner, attribute, name in places:
            timed = watched(name, time.perf_counter, getattr(owner, attribute))
            stack.enter_context(mock.patch.object(owner, attribute, timed))
        for owner, attribute, name in threads:
            timed = watched(name, time.thread_time, getattr(owner, attribute))
            stack.enter_context(mock.patch.object(owner, attribute, timed))
        wall, processor = time.perf_counter(), time.process_time()
        for _ in recognizer.predict_many(paths):
            pass
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    rows: list[list[object]] = [[name, seconds, f"{seconds / wall:.0%}"] for name, seconds in spent.items()]
    return [*rows, ["all threads, processor time", processor, f"{processor / wall:.0%}"], ["wall time", wall, "100%"]]


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    torch.set_num_threads(THREADS)
    paths = files(options.data)
    chosen = [paths[key] for key in spread(list(paths), options.number(500, 16))]
    singles, shares = [], []
    for net, size in list(NETS.items())[: options.number(len(NETS), 1)]:
        with tempfile.TemporaryDirectory() as folder:
            recognizer = model(net, size, Path(folder))
        singles.append(single(recognizer, chosen, options.number(25, 2)))
        shares += [[net, *row] for row in many(recognizer, chosen)]
    return f"""## A whole prediction

Three nets, proposals, object, parts, from the file on; {THREADS} threads, one picture at a time:

{table(("net", "px", "ms a prediction", "ms a forward pass", "passes' time"), singles)}

It makes five forward passes: the picture and its mirror, the object, two parts. Many pictures
(`predict_many` of {len(chosen)}, batches of 16), nets in wall time, the rest in processor time of other threads:

{table(("net", "where", "seconds", "of wall time"), shares)}"""


if __name__ == "__main__":
    door(measure, __doc__)
