"""What the benchmarks share: alternating runs, peak memory, the machine in words, a place in docs/performance.md."""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
Clock = Callable[[], float]


@dataclass(frozen=True)
class Options:
    """What every benchmark is told."""

    data: Path
    """Folder in CUB's layout."""
    quick: bool
    """A few seconds' worth, to see that it runs."""
    arguments: argparse.Namespace
    """The benchmark's own."""

    def number(self, full: int, quick: int) -> int:
        """How many: ``full``, or ``quick`` when quick."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Timed:
    """Seconds of each side, round by round."""

    seconds: Mapping[str, Sequence[float]]

    def median(self, side: str) -> float:
        """Median seconds."""
        return float(np.median(self.seconds[side]))

    def ratio(self, slow: str, fast: str) -> float:
        """How many times as fast ``fast`` is: the median of the rounds' ratios."""
        return float(np.median(np.array(self.seconds[slow]) / np.array(self.seconds[fast])))


def alternate(sides: Mapping[str, Callable[[], object]], repeats: int, clock: Clock | None = None) -> Timed:
    """Run the sides in turn, ``repeats`` times, after one run of each that does not count.

    On one thread the process's own time is taken, which other work on the machine disturbs little; else wall time.
    """
    clock = clock or (time.process_time if torch.get_num_threads() == 1 else time.perf_counter)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():
        run()
    for _ in range(repeats):
        for name, run in sides.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return Timed(seconds)


def step(net: nn.Module, optimizer: torch.optim.Optimizer, pixels: Tensor) -> None:
    """One step of training, whatever the labels."""
    optimizer.zero_grad()
    F.cross_entropy(net(pixels), torch.zeros(len(pixels), dtype=torch.long)).backward()
    optimizer.step()


def peak_memory(run: Callable[[], object]) -> float:
    """Megabytes that this process grew by, at most, during ``run`` (Linux with glibc)."""
    give_back()
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak back
    before = _status("VmRSS")
    run()
    return (_status("VmHWM") - before) / 1024


def give_back() -> None:
    """Return to the system what was freed and only kept at hand."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def resident() -> float:
    """Megabytes that this process holds now."""
    return _status("VmRSS") / 1024


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers get three figures."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> str:
    """Cores, processor and the versions that matter."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else [platform.processor()]
    name = names[0] if names else "an unknown processor"
    return f"{os.cpu_count()} cores of {name}, Python {platform.python_version()}, {versions('torch', 'numba')}"


def versions(*packages: str) -> str:
    """``torch 2.14.1, numba 0.68.1``; what is not installed is left out."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def write_section(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the marks of ``name``, at the end of the page where there are none yet."""
    opening, closing = f"<!-- {name}: written by benchmarks/{name}.py -->", f"<!-- end of {name} -->"
    section = f"{opening}\n{text.strip()}\n{closing}"
    content = page.read_text(encoding="utf-8")
    marked = re.compile(re.escape(opening) + ".*?" + re.escape(closing), re.DOTALL)
    if not marked.search(content):
        content = f"{content.rstrip()}\n\n{section}\n"
    content = marked.sub(lambda _: section, content)
    page.write_text(content, encoding="utf-8")


def door(
    measure: Callable[[Options], str], doc: str | None, more: Callable[[argparse.ArgumentParser], None] | None = None
) -> None:
    """The command line of a benchmark: measure, print, and with ``--write`` put the section into the page."""
    name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    home = os.environ.get("WINGBAR_DATA")
    parser.add_argument("--data", type=Path, default=Path(home) / "cub50" if home else None, required=home is None)
    parser.add_argument("--quick", action="store_true", help="a few seconds' worth")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.parent.name}/{PAGE.name}")
    if more:
        more(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options = Options(arguments.data, arguments.quick, arguments)
    text = measure(options)
    made = f"`python benchmarks/{name}.py{' --quick' if arguments.quick else ''}` on {machine()}."
    text = f"{text.strip()}\n\n{made}"
    print(text, flush=True)
    if arguments.write:
        write_section(PAGE, name, text)


def files(root: Path, split: str = "test") -> dict[str, Path]:
    """Picture id -> file of a split, in the data set's order."""
    train = rows(root, "train_test_split")
    return {
        key: root / "images" / path[0]
        for key, path in rows(root, "images").items()
        if (train[key] == ["1"]) == (split == "train")
    }


def rows(root: Path, name: str) -> dict[str, list[str]]:
    """A table of CUB's: id -> the other words of its line."""
    lines = (root / f"{name}.txt").read_text().splitlines()
    return {key: rest for key, *rest in (line.split() for line in lines)}


def spread(keys: Sequence[str], count: int) -> list[str]:
    """``count`` of ``keys``, evenly spread."""
    return [keys[i] for i in np.linspace(0, len(keys) - 1, min(count, len(keys))).astype(int)]
