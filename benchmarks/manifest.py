"""Very many pictures: speed, memory, and what a stop costs.

    python benchmarks/manifest.py [--pictures 20000] [--quick] [--write]

Small drawn birds, named by a tiny recogniser of one epoch into chunks of 1,000; one thread. The job is stopped in the
middle of a chunk, a bit after its half, and run again. Memory is what the process holds after each fifth.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from _measure import Options, door, resident, table
from PIL import Image

import wingbar
from wingbar.bulk.job import BulkJob
from wingbar.bulk.settings import BulkSettings
from wingbar.config import Config
from wingbar.data.synthetic import draw_bird, write_dataset
from wingbar.opam.filtering import FilterSettings
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer

PICTURE, CHUNK, FIFTHS = (96, 72), 1000, 5


def model(folder: Path) -> Recognizer:
    """A recogniser of one epoch on a few drawn birds."""
    birds = write_dataset(folder / "birds", classes=3, train=8, test=1, size=PICTURE)
    config = Config(
        method="opam", net="res2net_nano", weights="none", size=48, epochs=1, follow_epochs=1, batch_size=8, workers=0,
        filtering=FilterSettings(enabled=False),
    )  # fmt: skip
    return wingbar.train(birds, folder / "run", config, quiet=True)


def draw(folder: Path, count: int) -> Path:
    """So many birds, all different, a hundred a folder."""
    for number in range(count):
        path = folder / f"{number // 100:04d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_bird(number % 8, number, PICTURE).pixels).save(path)
    return folder


def watched(job: BulkJob, every: int, found: list[list[object]]) -> Iterator[Prediction]:
    """The job's predictions; a row after ``every`` of them: pictures, pictures/s since the last row, megabytes."""
    began, last = time.perf_counter(), job.answered
    for number, prediction in enumerate(job.run(), job.answered + 1):
        yield prediction
        if number % every == 0:
            found.append([number, (number - last) / (time.perf_counter() - began), resident()])
            began, last = time.perf_counter(), number


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    count = 60 if options.quick else options.arguments.pictures
    size = min(CHUNK, count // FIFTHS)
    found: list[list[object]] = []
    with tempfile.TemporaryDirectory() as home:
        recognizer, pictures = model(Path(home)), draw(Path(home) / "pictures", count)
        out, stop = Path(home) / "out", count // 2 + size // 3
        stopped = len(
            list(
                islice(
                    watched(BulkJob(recognizer, pictures, out, BulkSettings(size=size)), count // FIFTHS, found), stop
                )
            )
        )
        job = BulkJob(recognizer, pictures, out, BulkSettings(size=size))
        again = sum(1 for _ in watched(job, count // FIFTHS, found))
        lines = [line for path in sorted(out.glob("*.jsonl")) for line in path.read_text().splitlines()]
    times = Counter(json.loads(line)["path"] for line in lines)
    assert len(times) == count and set(times.values()) == {1}, "a picture is missing or doubled"
    return f"""## Very many pictures

`wingbar predict-many` on {count:,} drawn pictures of {PICTURE[0]} x {PICTURE[1]} px, `res2net_nano` at 48 px, chunks of
{size:,}, one thread, wall time:

{table(("pictures", "pictures/s", "resident MB"), found)}

Stopped after {stopped:,} and run again: {stopped + again - count:,} pictures were named twice; in the chunks none is
missing or double."""


def more(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument("--pictures", type=int, default=20_000)


if __name__ == "__main__":
    door(measure, __doc__, more)
