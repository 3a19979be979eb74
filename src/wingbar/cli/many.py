"""The command for more pictures than one looks at."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from wingbar.cli.models import told_unreadable
from wingbar.cli.options import Device, Flag

EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal."""


@dataclass
class PredictMany:
    """Name very many pictures into files of answers. Stopped, the same command goes on where it was."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    pictures: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PICTURES")]
    """A folder, with pictures or .tar archives at any depth; a .csv with a column `path`; or one .tar."""
    out: Path
    """Folder for the answers: numbered files, each complete or not there."""
    images_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder that the paths of a table start at; by default the table's own."""
    format: Literal["jsonl", "parquet"] = "jsonl"
    """JSON Lines, or Parquet (needs wingbar[parquet])."""
    chunk_size: int = 1000
    """Pictures a file: what is lost at most by a stop."""
    top: int = 5
    """Classes listed of each picture."""
    batch_size: int = 16
    """Pictures at a time."""
    runtime: Literal["torch", "onnx"] = "torch"
    """What runs the nets; onnx: RUN is a folder made by `wingbar export`, and torch is not needed."""
    device: Device = "auto"
    """What the nets run on; auto: as the run was trained, on a GPU where there is one."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.bulk.job import BulkJob
        from wingbar.recognizer import load

        recognizer = load(self.run_folder, device=self.device, runtime=self.runtime)
        job = BulkJob(recognizer, self.pictures, self.out, self.format, self.chunk_size, self.top, self.images_root)
        for line in job.passed_over.lines():
            print(line, file=sys.stderr)
        failed = sum(job.unreadable.values())
        with progress(job.answered, job.total) as (advance, say):
            for prediction in job.run(self.batch_size):
                if prediction.error is not None:
                    failed += 1
                    say(f"skipped: {prediction.error}")
                advance()
        print(
            f"{len(job.plan)} files in {self.out}: {job.total} pictures, {job.answered} of them from before",
            file=sys.stderr,
        )
        return told_unreadable(failed, job.total)


@contextmanager
def progress(kept: int, total: int) -> Iterator[tuple[Callable[[], None], Callable[[str], None]]]:
    """On standard error: a bar with the time left, or now and then a line where there is no terminal.

    Gives what is to be called after each picture, and what says a line between.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(file=sys.stderr, highlight=False)
    if console.is_terminal:
        with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task("pictures", total=total, completed=kept)
            yield lambda: bar.advance(task), lambda text: console.print(text, markup=False, soft_wrap=True)
        return
    done, started = kept, time.monotonic()
    last = started

    def advance() -> None:
        nonlocal done, last
        done, now = done + 1, time.monotonic()
        if now - last >= EVERY or done == total:
            last = now
            print(
                described_progress(done, total, (done - kept) / max(now - started, 1e-9)), file=sys.stderr, flush=True
            )

    yield advance, lambda text: print(text, file=sys.stderr, flush=True)


def described_progress(done: int, total: int, rate: float) -> str:
    """How far it is, at ``rate`` pictures a second."""
    minutes, seconds = divmod(round((total - done) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02d}:{seconds:02d}"
    return f"{done:,} of {total:,} pictures, {rate:.1f} pictures/s, {left} left"
