"""What it saves to keep freed memory at hand (`wingbar._system.memory`), and how much more memory it takes.

    python benchmarks/heap.py [--quick] [--write]

Processes with and without it take turns; two threads, wall time, so let nothing else run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from resource import RUSAGE_SELF, getrusage

import numpy as np
import torch
from _measure import Options, alternate, door, step, table

from wingbar._system.memory import keep_freed_memory
from wingbar.nets import create, for_inference

THREADS, TIMES = 2, 5
CASES = [
    ("mobilenetv2_100", "step", 160, 32),
    ("mobilenetv2_100", "step", 224, 32),
    ("res2net50_26w_4s", "step", 160, 16),
    ("mobilenetv2_100", "pass", 160, 1),
    ("mobilenetv2_100", "pass", 160, 16),
    ("mobilenetv2_100", "pass", 416, 16),
    ("res2net50_26w_4s", "pass", 224, 16),
]
"""Net, a step of training or a pass of prediction, side in pixels, pictures at once."""


def run(name: str, what: str, size: int, batch: int, kept: bool) -> None:
    """What a process of its own does: prints seconds of one step or pass, its page faults, and the peak in MB."""
    if kept:
        keep_freed_memory()
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    net, pixels = create(name, 50), torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)
    if what == "step":
        net = net.train().to(memory_format=torch.channels_last)
        work = partial(step, net, torch.optim.SGD(net.parameters(), 1e-3), pixels)
    else:
        work = partial(for_inference(net.eval()).to(memory_format=torch.channels_last), pixels)
    with torch.set_grad_enabled(what == "step"):
        work()
        before = getrusage(RUSAGE_SELF)
        seconds = alternate({"it": work}, TIMES).median("it")
        after = getrusage(RUSAGE_SELF)
    print(json.dumps([seconds, (after.ru_minflt - before.ru_minflt) / (TIMES + 1), after.ru_maxrss / 1024]))


def measured(case: tuple[str, str, int, int], kept: bool) -> list[float]:
    """What `run` prints."""
    command = [sys.executable, __file__, "--run", json.dumps([*case, kept])]
    found: list[float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    rows = []
    for case in CASES[: options.number(len(CASES), 1)]:
        turns = np.array([[measured(case, kept) for kept in (False, True)] for _ in range(options.number(3, 1))])
        (given, faults, peak), (kept, fewer, more) = np.median(turns, axis=0)
        ratio = float(np.median(turns[:, 0, 0] / turns[:, 1, 0]))
        rows.append([*case, case[3] / given, case[3] / kept, ratio, f"{faults:.0f}", f"{fewer:.0f}", peak, more])
    header = (
        "net", "what", "px", "batch", "pictures/s given back", "pictures/s kept", "times as fast",
        "faults given back", "faults kept", "peak MB given back", "peak MB kept",
    )  # fmt: skip
    return f"""## Memory kept at hand

Steps of training and passes of prediction where glibc gives freed memory back, and where the process keeps it, as
`wingbar` does; {THREADS} threads, wall time, page faults of one step or pass:

{table(header, rows)}"""


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        run(*json.loads(sys.argv[2]))
    else:
        door(measure, __doc__)
