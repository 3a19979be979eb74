"""Who is told how a run goes: the terminal (rich progress, or plain lines where there is none) and TensorBoard."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from wingbar.learning.loop import Epoch, Watch

FIRST_STEPS = 8
"""Training steps after which the whole run's time is estimated."""


class Reporter:
    """Says on standard error what is done; ``quiet`` says nothing."""

    def __init__(self, folder: Path, quiet: bool = False) -> None:
        self.folder = folder
        self.console = Console(file=sys.stderr, quiet=quiet, highlight=False)
        self.live = self.console.is_terminal and not quiet
        self.views_left = 0
        """Training views that the whole run has still to show its nets: what the time left is told from."""

    def say(self, text: str) -> None:
        """One line for people."""
        self.console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def training(self, name: str, epochs: int, pictures: int) -> Iterator[Watch]:
        """Watch one net's training: a bar, scalars for TensorBoard, the time that the run has left."""
        from torch.utils.tensorboard import SummaryWriter

        writer = SummaryWriter(str(self.folder / "tensorboard" / name))
        started = time.monotonic()
        with self._bar(name, epochs) as advance:

            def step(epoch: int, done: int, steps: int, rate: float) -> None:
                advance(epoch + done / steps)
                if epoch == 0 and done == min(FIRST_STEPS, steps) and self.views_left:
                    minutes = self.views_left / rate / 60
                    self.say(f"  {rate:.0f} pictures/s; trainings need about {minutes:.0f} min from here")

            def end(epoch: Epoch) -> None:
                for key in ("train_loss", "val_loss", "val_accuracy", "learning_rate", "pictures_per_second"):
                    writer.add_scalar(key, getattr(epoch, key), epoch.epoch)
                writer.flush()
                self.views_left -= pictures
                if not self.live:
                    self.say(
                        f"  {name} epoch {epoch.epoch + 1}/{epochs}: train_loss {epoch.train_loss:.3f}, "
                        f"val_loss {epoch.val_loss:.3f}, val_accuracy {epoch.val_accuracy:.3f}, "
                        f"{epoch.pictures_per_second:.0f} pictures/s"
                    )

            try:
                yield Watch(step, end)
            finally:
                writer.close()
        self.say(f"  {name}: {time.monotonic() - started:.0f} s")

    @contextmanager
    def _bar(self, name: str, epochs: int):  # type: ignore[no-untyped-def]
        if not self.live:
            yield lambda done: None
            return
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(name, total=epochs)
            yield lambda done: progress.update(task, completed=done)
