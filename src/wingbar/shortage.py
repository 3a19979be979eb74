"""Whether an error says that memory ran out: every library has its own words for it. Imports none of them."""

from __future__ import annotations

import errno
import re

WORDS = re.compile(
    "can't allocate memory"  # torch on a CPU
    "|out of memory|_ALLOC_FAILED"  # CUDA and its libraries
    r"|could not create a (memory|primitive\b(?! desc))"  # oneDNN
    "|[Ff]ailed to allocate memory"  # ONNX Runtime
    "|bad_alloc|bad allocation"  # C++
    "|Cannot allocate memory|unable to allocate shared memory"  # the system
)
LOST = re.compile(r"DataLoader worker \(pid.*(killed by signal: (Killed|Bus error)|exited unexpectedly)", re.DOTALL)
"""The kernel ends the process that asks for too much; with a bus error where it is /dev/shm that is full."""


def out_of_memory(error: BaseException) -> bool:
    """Whether the process was refused memory, on the CPU or on a GPU."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, RuntimeError) and WORDS.search(str(error)) is not None


def lost_loader(error: BaseException) -> bool:
    """Whether a loader process was ended from outside."""
    return isinstance(error, RuntimeError) and LOST.search(str(error)) is not None
