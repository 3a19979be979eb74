"""Reports of a run's progress: to the terminal (a bar, or plain lines where there is none) and to TensorBoard."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from wingbar._system.files import writing
from wingbar._system.progress import bar, counted
from wingbar.learning.history import Epoch, History
from wingbar.learning.loop import TrainingWatch

FIRST_STEPS = 8
"""Training steps after which the whole run's time is estimated."""
SCALARS = ("train_loss", "val_loss", "val_accuracy", "learning_rate", "pictures_per_second")
T = TypeVar("T")


class Reporter:
    """Reports on standard error. ``quiet`` prints nothing; ``idle`` writes nothing for TensorBoard either."""

    def __init__(self, folder: Path, quiet: bool = False, idle: bool = False) -> None:
        self.folder, self.idle = folder, idle
        quiet = quiet or idle
        self.console = Console(file=sys.stderr, quiet=quiet, highlight=False)

    def say(self, text: str) -> None:
        """One line for people."""
        self.console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def training(self, name: str, epochs: int, pictures: int, views_left: int) -> Iterator[TrainingWatch]:
        """Report one net's training: a bar, scalars for TensorBoard, the time until the end of the run.

        ``views_left`` are the training views from this training's begin to the end of the run.
        """
        if self.idle:
            yield TrainingWatch()
            return
        started, timed = time.monotonic(), 0
        history = History()
        with scalars(self.folder / "tensorboard" / name) as write, bar(self.console, name, epochs) as advance:

            def step(epoch: int, done: int, steps: int, rate: float) -> None:
                nonlocal timed
                advance(epoch + done / steps)
                timed += 1
                if timed == min(FIRST_STEPS, steps):
                    minutes = (views_left - epoch * pictures) / rate / 60
                    self.say(f"  {rate:.0f} pictures/s; trainings need about {max(minutes, 0):.0f} min from here")

            def end(epoch: Epoch) -> None:
                nonlocal history
                write(epoch.epoch, {key: getattr(epoch, key) for key in SCALARS})
                history = history.add(epoch)

            yield TrainingWatch(step, end, self.say)
        kept, result = history.epochs[history.best] if history.epochs else None, ""
        if kept is not None and not math.isnan(kept.val_loss):
            result = f"best epoch {kept.epoch + 1} of {epochs}, val_accuracy {kept.val_accuracy:.3f}, "
        self.say(f"  {name}: {result}{time.monotonic() - started:.0f} s")

    def watched(self, results: Iterable[T], count: int) -> Iterator[T]:
        """Yield a step's ``count`` results as they come, and report the progress and the time left."""
        with counted(self.console, "so far", count) as advance:
            for done, result in enumerate(results, 1):
                yield result
                advance(done)


@contextmanager
def scalars(folder: Path) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Yield a function that writes the scalars of a step to a new event file of TensorBoard, in this thread.

    On a full disk it raises RunError, whereas TensorBoard's writer has a thread that ends with a traceback.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    def write(**event: Any) -> None:
        with writing(path):
            records.write(Event(wall_time=time.time(), **event).SerializeToString())
            records.flush()

    path = folder / f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("wb", buffering=0)
    with file:
        records = RecordWriter(file)
        write(file_version="brain.Event:2")
        yield lambda step, values: write(
            step=step, summary=Summary(value=[Summary.Value(tag=key, simple_value=v) for key, v in values.items()])
        )
