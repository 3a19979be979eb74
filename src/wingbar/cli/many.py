"""The command for very many pictures."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from wingbar._system.text import printable, several
from wingbar.cli.models import accuracy_of, described_place, report_unreadable
from wingbar.cli.options import NOT_GIVEN, Device, Flag, Only, Prior, place_of, views_of

if TYPE_CHECKING:
    from wingbar.bulk.settings import BulkSettings
    from wingbar.prediction import Prediction
    from wingbar.recognizer import Recognizer

SHOWN = 3
"""Classes that strangers look like, of which the summary tells."""


@dataclass
class PredictMany:
    """Name very many pictures into files of answers. Stopped, the same command goes on where it was."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    pictures: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="PICTURES")]
    """A folder, with pictures or .tar archives at any depth; a .csv with a column `path`; or one .tar."""
    out: Path
    """Folder for the answers: numbered files, each complete or not there."""
    images_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder that the paths of a table start at; by default the table's own."""
    form: Annotated[Literal["jsonl", "parquet"], tyro.conf.arg(name="format")] = "jsonl"
    """JSON Lines, or Parquet (needs wingbar[parquet])."""
    chunk_size: int = 1000
    """Pictures a file: what is lost at most by a stop."""
    top: int = 5
    """Classes listed of each picture."""
    only: Only = None
    """Species list of the place, a name a line: scores are of these classes alone."""
    prior: Prior = None
    """Table `label,prior` of how frequent each class is at the place, in any unit; others are not there."""
    accuracy: Annotated[float | None, tyro.conf.arg(metavar="SHARE", help_behavior_hint="(default: 0.95)")] = None
    """Share of answers that are to be right: where the class is too doubtful, a larger group is named, or nothing."""
    fast: Flag = False
    """Show the nets the whole picture alone: more than twice as fast, no parts, a rougher box."""
    batch_size: int = 16
    """Pictures at a time."""
    runtime: Literal["torch", "onnx"] = "torch"
    """What runs the nets; onnx: RUN is a folder made by `wingbar export`, and torch is not needed."""
    device: Device = "auto"
    """What the nets run on; auto: as the run was trained, on a GPU where there is one."""
    watch: Flag = False
    """Go on looking at the folder PICTURES and answer what comes, each picture once, until Ctrl-C or SIGTERM."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.recognizer import load

        recognizer = load(self.run_folder, device=self.device, runtime=self.runtime)
        return self.answer_what_comes(recognizer) if self.watch else self.answer_all(recognizer)

    def settings(self, recognizer: Recognizer) -> BulkSettings:
        """What is asked of each picture."""
        from wingbar.bulk.settings import BulkSettings

        return BulkSettings(
            self.form, self.chunk_size, self.top, views_of(self.fast), accuracy_of(self.accuracy),
            **place_of(recognizer.classes, self.only, self.prior),
        )  # fmt: skip

    def answer_all(self, recognizer: Recognizer) -> int:
        """Answer the pictures that are there; returns the exit code."""
        from rich.console import Console

        from wingbar._system.progress import counted
        from wingbar.bulk.job import BulkJob

        job = BulkJob(recognizer, self.pictures, self.out, self.settings(recognizer), self.images_root)
        for line in job.passed_over.lines():
            print(line, file=sys.stderr)
        failed = sum(job.unreadable.values())
        console = Console(file=sys.stderr, highlight=False)
        with counted(console, "pictures", job.total, job.answered) as advance:
            for done, prediction in enumerate(job.run(self.batch_size), job.answered + 1):
                if prediction.error is not None:
                    failed += 1
                    console.print(f"skipped: {prediction.error}", markup=False, soft_wrap=True)
                advance(done)
        if recognizer.card.strangers is not None and not self.fast:
            print(strangers_line(job.list_strangers()), file=sys.stderr)
        print(
            f"{several(len(job.plan), 'file')} in {self.out}: {several(job.total, 'picture')}, "
            f"{job.answered} of them from before",
            file=sys.stderr,
        )
        return report_unreadable(failed, job.total)

    def answer_what_comes(self, recognizer: Recognizer) -> int:
        """Answer pictures as they come, until a signal asks to stop; returns the exit code."""
        from wingbar.bulk.watch import Watch

        watch = Watch(recognizer, self.pictures, self.out, self.settings(recognizer))
        answered = 0
        with asked_to_stop() as stop:
            print(f"watching {printable(str(self.pictures), 4096)} (stop with Ctrl-C)", file=sys.stderr, flush=True)
            for prediction in watch.run(stop.wait, self.batch_size):
                answered += 1
                print(in_a_line(prediction), flush=True)
        print(f"stopped: {several(answered, 'picture')} answered since the start", file=sys.stderr)
        return 0


def in_a_line(prediction: Prediction) -> str:
    """A picture's name and what it shows."""
    path = printable(str(prediction.path), 4096)
    if prediction.error is not None:
        return f"{path}: skipped, {prediction.error}"
    none = "none of the classes, most like " if prediction.stranger else ""
    place = described_place(prediction).replace("\n  ", "; ")
    return f"{path}: {none}{printable(prediction.label)} {prediction.score:.1%}{place}"


@contextmanager
def asked_to_stop() -> Iterator[Event]:
    """An event that is set by Ctrl-C or SIGTERM; a second signal ends the process as it always does."""
    stop, numbers = Event(), (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def set_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(*_: object) -> None:
        stop.set()
        set_back()

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        set_back()


def strangers_line(groups: Mapping[str, Sequence[object]]) -> str:
    """How many pictures are strangers, and what most of them look like."""
    largest = [f"{len(rows)} most like {printable(label)}" for label, rows in list(groups.items())[:SHOWN]]
    listed = f": {', '.join(largest)}; strangers.json lists them" if largest else ""
    return f"{several(sum(map(len, groups.values())), 'picture')} of none of the classes{listed}"
