"""Memory that nets use again and again stays with the process, so that the kernel need not clear it for every pass.

glibc gets each piece of 32 MiB or more from the kernel and gives it back when it is freed, whatever its thresholds. Of
a net's activations most are that large, and come back page by page, each a page fault and zeroed: with MobileNetV2 up
to half of the time (docs/performance.md, "Memory kept at hand"). Source: mallopt(3).
"""

from __future__ import annotations

import ctypes
import platform

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""As malloc.h numbers them."""


def keep_freed_memory() -> None:
    """From now on this process keeps what it frees for its next use. Changes nothing where there is no glibc."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, -1)
