"""The memory of a process that runs nets: keeping freed memory, the amount that is left, errors of too little memory.

glibc takes each block of 32 MiB or more from the kernel, and returns it when it is freed. Most activations of a net are
that large. Each time they are allocated the kernel has to map and clear all their pages, which takes up to half of the
time with MobileNetV2 (docs/performance.md, "Memory kept at hand"). Source: mallopt(3).
"""

from __future__ import annotations

import ctypes
import errno
import gc
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""As malloc.h numbers them."""
CONTROL, OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""Folder of the control groups, which limit containers and jobs, and the file of this process's groups: cgroups(7)."""
LIMITS = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""Version 2 and version 1: limit, usage, and how much of that is files that can be dropped."""

OUT_OF_MEMORY = re.compile(
    "can't allocate memory"  # torch on a CPU
    "|out of memory|_ALLOC_FAILED"  # CUDA and its libraries
    r"|could not create a (memory|primitive\b(?! desc))"  # oneDNN
    "|[Ff]ailed to allocate memory"  # ONNX Runtime
    "|bad_alloc|bad allocation"  # C++
    "|Cannot allocate memory|unable to allocate shared memory"  # the system
)
LOST_LOADER = re.compile(
    r"DataLoader worker \(pid.*(killed by signal: (Killed|Bus error)|exited unexpectedly)", re.DOTALL
)
"""The kernel ends the process that asks for too much; with a bus error where it is /dev/shm that is full."""


def keep_freed_memory() -> None:
    """From now on this process keeps freed memory for later use. Changes nothing where there is no glibc."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, -1)


def free_memory() -> int | None:
    """Bytes that this process may still allocate before the kernel ends a process; None on systems other than Linux.

    Memory that was freed and kept is returned to the kernel first, so that it counts. Sources: proc(5), malloc_trim(3).
    """
    gc.collect()
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
    try:
        meminfo = Path("/proc/meminfo").read_text()
        machine = sum(1024 * _number(meminfo, rf"^{name}:\s+(\d+) kB$") for name in ("MemAvailable", "SwapFree"))
    except (OSError, LookupError):
        return None
    return min([machine, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Bytes that are left in each control group of this process that has a limit."""
    for line in OWN_GROUP.read_text().splitlines() if OWN_GROUP.exists() else ():
        _, kind, path = line.split(":", 2)
        if kind in LIMITS:
            innermost = CONTROL / kind / path.lstrip("/")
            limit, usage, droppable = LIMITS[kind]
            for group in (innermost, *innermost.parents):
                with suppress(OSError, LookupError, ValueError):  # no limit, or none that is ours to see
                    used = int((group / usage).read_text())
                    dropped = _number((group / "memory.stat").read_text(), rf"^{droppable} (\d+)$")
                    yield int((group / limit).read_text()) - used + dropped


def _number(text: str, pattern: str) -> int:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise LookupError(pattern)
    return int(match[1])


def out_of_memory(error: BaseException) -> bool:
    """Whether the process was refused memory, on the CPU or on a GPU."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None


def lost_loader(error: BaseException) -> bool:
    """Whether a loader process was ended from outside."""
    return isinstance(error, RuntimeError) and LOST_LOADER.search(str(error)) is not None


def shared_memory_full(error: BaseException) -> bool:
    """Whether a loader process found no room in /dev/shm, through which it hands on its batches."""
    text = str(error)
    return isinstance(error, RuntimeError) and (
        (lost_loader(error) and "Bus error" in text) or "unable to allocate shared memory" in text
    )
