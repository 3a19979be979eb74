"""The memory of a process that runs nets: what it frees it keeps, and how much more there is for it.

glibc gets each piece of 32 MiB or more from the kernel and gives it back when it is freed, whatever its thresholds. Of
a net's activations most are that large, and come back page by page, each a page fault and zeroed: with MobileNetV2 up
to half of the time (docs/performance.md, "Memory kept at hand"). Source: mallopt(3).
"""

from __future__ import annotations

import ctypes
import platform
import re
from pathlib import Path

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""As malloc.h numbers them."""
CONTAINER = Path("/sys/fs/cgroup/memory.max")
"""Where the limit of a container stands: bytes, or "max"."""


def keep_freed_memory() -> None:
    """From now on this process keeps what it frees for its next use. Changes nothing where there is no glibc."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, -1)


def free_memory() -> int | None:
    """Bytes that this process may still use before the kernel ends one; None where no Linux tells. Source: proc(5)."""
    try:
        machine = _bytes("/proc/meminfo", "MemAvailable") + _bytes("/proc/meminfo", "SwapFree")
        held, limit = _bytes("/proc/self/status", "VmRSS"), CONTAINER.read_text() if CONTAINER.exists() else "max"
    except (OSError, LookupError):
        return None
    return min(machine, int(limit) - held) if limit.strip().isdigit() else machine


def _bytes(file: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(file).read_text(), re.MULTILINE)
    if found is None:
        raise LookupError(f"{file}: says nothing of {name}")
    return int(found[1]) << 10
