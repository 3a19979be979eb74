"""How long `wingbar serve` keeps its visitors waiting: one after the other, and many at once.

    python benchmarks/serving.py [--data DATA/cub50] [--quick] [--write]

The server is a process of its own with a model of one epoch on drawn birds (`prediction.models`); the pictures are real
test pictures, sent as files. Each visitor sends the next picture when the answer to the last one is there. Wall time
from the connection's begin to the answer's end; the visitors are at work on the same machine.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from _measure import Options, door, files, spread, table
from prediction import models

NET, SIZE = "mobilenetv2_100", 160
VISITORS = (1, 2, 4, 8, 16, 32)


@contextmanager
def served(run: Path) -> Iterator[int]:
    """The port of `wingbar serve RUN` while it runs."""
    command = [sys.executable, "-m", "wingbar", "serve", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = next(line for line in process.stdout if "http" in line)
        try:
            yield int(re.findall(r":(\d+)/", said)[0])
        finally:
            process.terminate()


def ask(port: int, picture: bytes) -> float:
    """Seconds until a picture is named."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/api/predict", picture, {"Content-Type": "image/jpeg"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status != 200:
        raise SystemExit(f"{response.status}: {answer.decode()}")
    return time.perf_counter() - started


def visit(port: int, pictures: Sequence[bytes], visitors: int, each: int) -> list[object]:
    """The row of so many visitors, each of whom asks ``each`` times."""

    def one(number: int) -> list[float]:
        return [ask(port, picture) for picture in islice(cycle(pictures), number * each, (number + 1) * each)]

    started = time.perf_counter()
    with ThreadPoolExecutor(visitors) as pool:
        waits = 1e3 * np.concatenate(list(pool.map(one, range(visitors))))
    seconds = time.perf_counter() - started
    return [visitors, len(waits), len(waits) / seconds, *map(float, np.percentile(waits, [50, 99]))]


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    paths = files(options.data)
    pictures = [paths[key].read_bytes() for key in spread(list(paths), options.number(200, 8))]
    asked, visitors = options.number(320, 8), VISITORS[: options.number(len(VISITORS), 2)]
    with tempfile.TemporaryDirectory() as folder:
        models(NET, SIZE, Path(folder))
        with served(Path(folder) / "run") as port:
            visit(port, pictures, 1, options.number(20, 1))
            rows = [visit(port, pictures, number, asked // number) for number in visitors]
    return f"""## Visitors of the web page

`wingbar serve` with {NET} at {SIZE} px, all views, boxes, map and parts in each answer; each visitor sends the next
picture when the last one is answered; they are at work on the same cores:

{table(("visitors at once", "pictures", "pictures/s", "p50, ms", "p99, ms"), rows)}"""


if __name__ == "__main__":
    door(measure, __doc__)
