"""Freed memory is kept: a large piece that is freed and wanted again costs no page fault."""

from __future__ import annotations

import platform

import pytest
from bounds import in_a_child

from wingbar._system.memory import lost_loader, shared_memory_full

FAULTS = """
from resource import RUSAGE_SELF, getrusage
from wingbar._system.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()

def faults():
    before = getrusage(RUSAGE_SELF).ru_minflt
    b"x" * (1 << 26)  # 64 MiB
    return getrusage(RUSAGE_SELF).ru_minflt - before

faults()
print(min(faults() for _ in range(5)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_what_is_freed_is_had_again_without_a_page_fault() -> None:
    given_back, kept = (int(in_a_child("import sys\n" + FAULTS, how)[0]) for how in ("given back", "kept"))
    assert kept < 100 < given_back


def test_a_full_shared_memory_is_told_from_a_killed_process() -> None:
    full = RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that ...")
    assert lost_loader(full) and shared_memory_full(full)
    killed = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    assert lost_loader(killed) and not shared_memory_full(killed)
