"""Where the time of a whole run goes: seconds of every step in nets' passes, in loading pictures, and in the rest.

    python benchmarks/whole_run.py [--data DATA/cub50] [--quick] [--write]
    python benchmarks/whole_run.py --runs mobilenetv2_100:160 --classes 0 --threads 8 --device cuda

Each run has the default settings of its method, on the first classes of the data set, and is evaluated on the test
pictures. Nets' passes are those forward and back, clipping, the optimiser and the moving average. Loaders read views;
other threads read views too, and search for candidates. A net that costs next to nothing (``res2net_nano``) shows all
that is not a net. Without a GPU all but the first column are seconds of the processor, which other work on the machine
disturbs little, by one thread: then they add up to what the run costs. With one they are wall time of the process that
computes, and of loaders nothing is told but how long it waited.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from _measure import Options, door, table
from lightning_fabric import Fabric
from timm.utils import ModelEmaV3

import wingbar
from wingbar.config import Config
from wingbar.data import load
from wingbar.learning.views import FixedBatches, ViewLoader
from wingbar.nets import MapNet
from wingbar.steps.store import Store

RUNS = "res2net_nano:96,mobilenetv2_100:160"
KINDS = ("nets", "loading", "rest")
EVALUATION = "evaluation"


def elapsed() -> tuple[float, float, float]:
    """Seconds so far: of the clock on the wall, of what is counted, and of other threads and processes that ended."""
    wall = time.perf_counter()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return wall, wall, 0.0
    ended, own = resource.getrusage(resource.RUSAGE_CHILDREN), time.thread_time()
    return wall, own, ended.ru_utime + ended.ru_stime + time.process_time() - own


class Clock:
    """Seconds by step and kind. What runs within something else is counted once, by its own kind."""

    def __init__(self) -> None:
        self.seconds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self.step, self._kinds, self._since = "reading", ["rest"], elapsed()

    def _turn(self) -> None:
        now = elapsed()
        wall, counted, ended = (b - a for a, b in zip(self._since, now, strict=True))
        spent = self.seconds[self.step]
        spent["wall"] += wall
        spent[self._kinds[-1]] += counted
        spent["loading"] += ended
        self._since = now

    @contextmanager
    def within(self, kind: str) -> Iterator[None]:
        """Count what happens here as of this kind."""
        self._turn()
        self._kinds.append(kind)
        try:
            yield
        finally:
            self._turn()
            self._kinds.pop()

    @contextmanager
    def of_step(self, name: str) -> Iterator[None]:
        """Count what happens here to this step."""
        self._turn()
        outer, self.step = self.step, name
        try:
            yield
        finally:
            self._turn()
            self.step = outer

    def timed(self, call: Callable[..., Any], kind: str) -> Callable[..., Any]:
        """The same function, counted as of this kind."""

        def wrapped(*given: Any, **named: Any) -> Any:
            with self.within(kind):
                return call(*given, **named)

        return wrapped


@contextmanager
def watched(clock: Clock) -> Iterator[None]:
    """Count what a run does. Every step goes through the store, every view through the loader."""
    store_step = Store.step

    def loading(walk: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        def asked(loader: Any) -> Iterator[Any]:
            batches, ask = clock.timed(walk, "loading")(loader), clock.timed(next, "loading")
            while (batch := ask(batches, None)) is not None:
                yield batch

        return asked

    def step(store: Store, name: str, *given: Any) -> Any:
        with clock.of_step(name):
            return store_step(store, name, *given)

    optimizer = torch.optim.AdamW
    passes = [(MapNet, "forward_features"), (MapNet, "forward_head"), (Fabric, "backward"), (ModelEmaV3, "update")]
    passes += [(optimizer, "step"), (Fabric, "clip_gradients")]
    with ExitStack() as stack:
        for owner, name in passes:
            stack.enter_context(mock.patch.object(owner, name, unbound(clock, getattr(owner, name))))
        for loader in (ViewLoader, FixedBatches):
            stack.enter_context(mock.patch.object(loader, "__iter__", loading(loader.__iter__)))
        stack.enter_context(mock.patch.object(Store, "step", step))
        yield


def unbound(clock: Clock, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a class, counted as a net's pass."""

    def wrapped(self: Any, *given: Any, **named: Any) -> Any:
        with clock.within("nets"):
            return method(self, *given, **named)

    return wrapped


def run(options: Options, net: str, size: int) -> tuple[Clock, int]:
    """Train and evaluate; returns the number of training pictures, too."""
    chosen = options.arguments
    dataset = load(options.data)
    if classes := options.number(chosen.classes, 3):
        dataset = dataset.first_classes(classes)
    weights = "none" if net == "res2net_nano" else "imagenet"
    config = Config(
        method=chosen.method, net=net, weights=weights, size=size, epochs=options.number(12, 1), device=chosen.device
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, watched(clock):
        wingbar.train(dataset, Path(folder) / "run", config, quiet=True)
        with clock.of_step(EVALUATION):
            wingbar.evaluate(Path(folder) / "run", dataset)
    return clock, len(dataset.split("train"))


def rows_of(clock: Clock) -> list[list[Any]]:
    """Seconds of each step, of the training as a whole, and of the evaluation."""
    steps = {name: spent for name, spent in clock.seconds.items() if spent["wall"] >= 0.1}
    evaluation = steps.pop(EVALUATION)
    every = {kind: sum(spent[kind] for spent in steps.values()) for kind in ("wall", *KINDS)}
    named = [*steps.items(), ("the whole training", every), (EVALUATION, evaluation)]
    return [[name, *(spent[kind] for kind in ("wall", *KINDS))] for name, spent in named]


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    torch.set_num_threads(options.arguments.threads)
    parts = []
    for name, _, size in (one.partition(":") for one in options.arguments.runs.split(",")):
        clock, pictures = run(options, name, int(size))
        *_, (_, _, nets, loading, rest), _ = rows = rows_of(clock)
        share = 1 - nets / (nets + loading + rest)
        parts.append(
            f"{name} at {size} px, {pictures} training pictures; outside of the nets' passes: {share:.0%}.\n\n"
            + table(("step", "s by the clock", "nets", "loaders and other threads", "rest"), rows)
        )
    return "## A whole run\n\nSeconds, with default settings.\n\n" + "\n\n".join(parts)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its own options."""
    parser.add_argument("--runs", default=RUNS, help="nets and sides in pixels, NET:SIZE,...")
    parser.add_argument("--classes", type=int, default=20, help="the first so many classes; 0: all")
    parser.add_argument("--method", default="field-marks")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")


if __name__ == "__main__":
    door(measure, __doc__, arguments)
