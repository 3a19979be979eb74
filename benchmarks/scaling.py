"""How much faster the steps between trainings get with more processes, for the same pictures (strong scaling).

    python benchmarks/scaling.py [--data DATA/cub50] [--classes 20] [--processes 1 2 4] [--quick] [--write]

torchrun starts the processes, each held to a core of its own, so more than there are cores are left out. Wall time, so
let nothing else run. The nets are untrained, which takes as long as trained ones.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from _measure import Options, door, table

from wingbar import steps
from wingbar._system.distributed import World, opened
from wingbar.config import Config
from wingbar.data import load as load_data
from wingbar.learning.hardware import open_hardware
from wingbar.opam.filtering import FilterSettings
from wingbar.steps.nets import TrainedNet, new_net
from wingbar.steps.reporting import Reporter
from wingbar.steps.store import R, Store, digest

SIZE = 160


def settings(size: int) -> Config:
    """Of a run at this size, with every patch passing the filter."""
    return Config(method="opam", weights="none", workers=0, size=size, filtering=FilterSettings(threshold=0.0))


class Steps:
    """The steps one after the other, timed, with a digest of what they found."""

    def __init__(self, folder: Path, world: World, size: int) -> None:
        self.world, self.folder, self.config = world, folder, settings(size)
        self.seconds: dict[str, float] = {}
        self.found: list[str] = []

    def timed(self, name: str, step: Callable[[], R]) -> R:
        """The step's result; its time is that of the slowest rank, what is written included."""
        self.world.gather(int)
        began = time.perf_counter()
        result = step()
        self.world.gather(int)
        self.seconds[name] = time.perf_counter() - began
        self.found.append(result.sha256)
        return result

    def run(self, data: Path, classes: int) -> None:
        """All of them on the training pictures of the first ``classes``."""
        reporter, store = Reporter(self.folder, quiet=True), Store(self.folder, world=self.world)
        dataset = load_data(data).first_classes(classes)
        pictures = self.timed("reading", lambda: steps.data(dataset, self.config, store, reporter)[1])
        hardware = open_hardware(self.config, self.world)
        samples = pictures.readable(dataset.split("train"))
        job = steps.Job(self.config, dataset.classes, samples, pictures, store, hardware, reporter, {})
        tensors = {key: value.numpy() for key, value in new_net(job, None).state_dict().items()}
        net = TrainedNet(key="untrained", tensors=tensors, weights="none", licence=None, history={})
        timed = self.timed
        candidates = timed("selective search", lambda: steps.proposals(job))
        timed("patch filtering", lambda: steps.filtering(job, candidates, [(net, job.training)]))
        maps = timed("saliency", lambda: steps.saliency(job, net))
        principal = timed("principal maps", lambda: steps.principal(job, net))
        cut = timed("choice of the box rule", lambda: steps.localization(job, net, maps, principal, candidates))
        objects = timed("object boxes", lambda: steps.box_regression(job, net, cut, candidates))
        parts = timed("parts", lambda: steps.parts(job, candidates, objects, maps))
        timed("alignment", lambda: steps.alignment(job, net, parts))


def work(data: Path, classes: int, size: int) -> None:
    """What each process does; the first prints seconds of each step and a digest of all arrays."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(os.environ["LOCAL_RANK"]) % len(cores)]})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, opened() as world:
        timed = Steps(Path(folder), world, size)
        timed.run(data, classes)
    if world.rank == 0:
        print(json.dumps({"seconds": timed.seconds, "found": digest(*timed.found)}))


def times(data: Path, classes: int, size: int, processes: int) -> dict[str, Any]:
    """What `work` prints with so many processes."""
    line = ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", __file__, "--work", str(data)]
    done = subprocess.run(
        [sys.executable, "-m", *line, str(classes), str(size)], check=True, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    cores = len(os.sched_getaffinity(0))
    counts: Sequence[int] = [count for count in options.arguments.processes if count <= cores]
    classes, size = options.number(options.arguments.classes, 2), options.number(SIZE, 32)
    pictures = len(load_data(options.data).first_classes(classes).split("train"))
    times(options.data, 2, size, counts[0])  # compiles what is compiled once
    found = [times(options.data, classes, size, count) for count in counts]
    same = "the same, bit for bit" if len({one["found"] for one in found}) == 1 else "NOT THE SAME"
    seconds = [{**one["seconds"], "all": sum(one["seconds"].values())} for one in found]
    rows = [
        [name, *(one[name] for one in seconds), *(seconds[0][name] / one[name] for one in seconds[1:])]
        for name in seconds[0]
    ]
    heads = [f"{count} process{'es' if count > 1 else ''}, s" for count in counts]
    speed = [f"times as fast with {count}" for count in counts[1:]]
    return f"""## Scaling

{pictures} training pictures, MobileNetV2 at {size} px, each process on a core of its own, by wall time; what the
processes tell one another, and what the first of them does alone, is in it. All arrays are {same}.

{table(["step", *heads, *speed], rows)}"""


def more(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument("--classes", type=int, default=20, help="of cub50")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4, 8])


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    if sys.argv[1:2] == ["--work"]:
        work(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        door(measure, __doc__, more)


if __name__ == "__main__":
    main()
