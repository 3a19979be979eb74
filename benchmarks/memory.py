"""Peak memory of every command, and what sets it.

    python benchmarks/memory.py [--data DATA/cub50] [--classes 10] [--quick] [--write]

Each command is a process of its own, with two threads. Its own peak is the kernel's (`ru_maxrss`); that of all its
processes together, loaders included, is sampled every 0.2 s from their proportional shares (`Pss`, in which a page that
several share counts once), so a shorter peak may be missed. Trainings are of one epoch: no epoch needs more than the
first.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from _measure import Options, door, files, spread, table

from wingbar.data.synthetic import write_dataset

THREADS, EVERY = 2, 0.2
SMALL = ("--net", "res2net_nano", "--weights", "none", "--size", "48", "--batch-size", "8")
SHORT = ("--epochs", "1", "--follow-epochs", "1")
PROGRAM = (sys.executable, "-m", "wingbar")
ADDRESS = re.compile(r"http://\S+")
STEPS = (
    ("mobilenetv2_100", 160, 32), ("res2net50_26w_4s", 160, 16), ("convnext_tiny", 160, 8),
    ("vit_small_patch16_224", 224, 8), ("vgg19_bn", 160, 12),
)  # fmt: skip
"""Net, side, batch."""
STEP = """
import sys
import torch
from _measure import peak_memory, step
from wingbar._system.memory import keep_freed_memory
from wingbar.learning.portions import needs
from wingbar.nets import create
keep_freed_memory()
torch.set_num_threads(1)
size, batch = map(int, sys.argv[2:])
net = create(sys.argv[1], 20).to(memory_format=torch.channels_last)
weights, picture = needs(net, size)
optimizer, squares = torch.optim.AdamW(net.train().parameters()), torch.zeros(batch, 3, size, size)
needed = peak_memory(lambda: [step(net, optimizer, squares) for _ in range(3)])
print(needed, (weights + batch * picture) / (1 << 20))
"""
Act = Callable[[int, Path], None]
"""Does something to a running process, by its id and what it says."""


@dataclass(frozen=True)
class Peak:
    """Megabytes at most."""

    own: float
    """Of the command's process."""
    together: float
    """Of it and its children."""


def measured(command: Sequence[str], home: Path, while_it_runs: Act | None = None) -> Peak:
    """The peak of a command, which has to end well."""
    environment, log = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}, home / "told"
    with log.open("w") as told:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told, env=environment)
    if while_it_runs is not None:
        threading.Thread(target=while_it_runs, args=(process.pid, log)).start()
    together = 0.0
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        together = max(together, sum(map(share, family(process.pid))))
        time.sleep(EVERY)
    process.returncode = os.waitstatus_to_exitcode(ended[1])
    assert process.returncode == 0, f"{command}: ended with {process.returncode}: {log.read_text()}"
    own = ended[2].ru_maxrss / 1024
    return Peak(own, max(own, together))


def family(process: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield process
    with suppress(OSError):
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from family(int(child))


def share(process: int) -> float:
    """Megabytes of a process, each page divided by the number of those who share it; 0 once it is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return 0.0


def visit(pictures: Sequence[Path]) -> Act:
    """What sends a server these pictures, eight at a time, and then stops it."""

    def send(process: int, log: Path) -> None:
        try:
            while (found := ADDRESS.search(log.read_text())) is None:
                time.sleep(EVERY)
                os.kill(process, 0)

            def post(path: Path) -> bytes:
                request = urllib.request.Request(
                    f"{found[0]}api/predict", path.read_bytes(), {"Content-Type": "image/jpeg"}
                )
                return urllib.request.urlopen(request, timeout=300).read()

            with ThreadPoolExecutor(8) as senders:
                list(senders.map(post, pictures))
        finally:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGINT)

    return send


def steps(nets: Sequence[tuple[str, int, int]]) -> Iterator[list[object]]:
    """Net, side, batch; megabytes that three steps of its training needed, and that were estimated."""
    for asked in nets:
        done = subprocess.run(
            [sys.executable, "-c", STEP, *map(str, asked)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        needed, estimate = map(float, done.stdout.split())
        yield [*asked, needed, estimate, needed / estimate]


def few_classes(data: Path, count: int, home: Path) -> Path:
    """A table of the first ``count`` classes, beside links to their pictures."""
    (home / "images").symlink_to(data / "images", target_is_directory=True)
    chosen = sorted(one.name for one in (data / "images").iterdir())[:count]
    with (home / "few.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "split"))
        for split in ("train", "test"):
            for path in files(data, split).values():
                if path.parent.name in chosen:
                    rows.writerow((path.relative_to(data).as_posix(), path.parent.name, split))
    return home / "few.csv"


def commands(
    data: Path, pictures: Path, home: Path, settings: Sequence[str]
) -> Iterator[tuple[str, list[object], str]]:
    """Name, arguments and what sets the peak, in an order in which each finds what it needs."""
    run, train = home / "run", ["train", data, *settings, *SHORT]
    one = next(iter(sorted(pictures.iterdir())))
    yield "data check", ["data", "check", data, "--out", home / "check"], "pictures being decoded, one a core"
    yield "train, plain", [*train, "--method", "plain", "--out", home / "plain"], "batch and size: kept activations"
    yield (
        "the same, half the batch",
        [*train, "--method", "plain", "--out", home / "half", "--batch-size", "4" if settings else "16"],
        "",
    )
    yield "train", [*train, "--out", run], "the same, and features of the sample that boxes and marks are learnt from"
    yield "evaluate", ["evaluate", run], "two batches of decoded pictures, and their maps"
    yield "predict, one picture", ["predict", run, one], "torch and the net"
    yield "predict, many", ["predict", run, pictures], "two batches of decoded pictures"
    yield "predict-many", ["predict-many", run, pictures, "--out", home / "answers"], "the same, and a chunk's answers"
    yield "explain", ["explain", run, pictures, "--out", home / "why"], "the same, and a sheet being drawn"
    yield "guide", ["guide", run], "the same, and the maps of one class"
    yield "data check --run", ["data", "check", data, "--run", run, "--out", home / "doubts"], "features, 64 at a time"
    yield "export", ["export", run, "--out", home / "onnx"], "the ONNX exporter"
    yield "predict --runtime onnx", ["predict", home / "onnx", pictures, "--runtime", "onnx"], "no torch"
    yield "serve", ["serve", run, "--port", "0"], "batches of 8, and `--queue` pictures as files"


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if options.quick:
            data = write_dataset(home / "birds", classes=3, train=8, test=3, size=(96, 72))
            test, settings = list(files(data).values()), SMALL
        else:
            data = few_classes(options.data, options.arguments.classes, home)
            every = files(options.data)
            test, settings = [every[key] for key in spread(list(every), 64)], ()
        (home / "pictures").mkdir()
        for path in test:
            shutil.copy(path, home / "pictures" / path.name)
        imported = measured((sys.executable, "-c", "import torch"), home)
        rows: list[list[object]] = [["(`import torch` alone)", imported.own, imported.together, ""]]
        for name, arguments, sets in commands(data, home / "pictures", home, settings):
            act = visit(sorted((home / "pictures").iterdir())) if name == "serve" else None
            peak = measured([*PROGRAM, *map(str, arguments)], home, act)
            rows.append([name, peak.own, peak.together, sets])
            print(*rows[-1][:3], file=sys.stderr, flush=True)
    told = f"the first {options.arguments.classes} classes of cub50"
    net = "drawn birds, `res2net_nano` at 48 px" if options.quick else f"{told}, MobileNetV2, default settings"
    taught = list(steps([("res2net_nano", 96, 8)] if options.quick else STEPS))
    return f"""## Memory

Peak of each command on {net}; {len(test)} pictures to be predicted, {THREADS} threads, two loader processes:

{table(("command", "its process, MB", "with loaders, MB", "what sets it"), rows)}

Steps of training, each net in a process of its own: what they needed beyond what was held before, and what is estimated
before a training begins (`wingbar.learning.portions`).

{table(("net", "px", "batch", "needed, MB", "estimated, MB", "share"), taught)}"""


def more(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument("--classes", type=int, default=10, help="the first so many alone")


if __name__ == "__main__":
    door(measure, __doc__, more)
