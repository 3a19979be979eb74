"""Bounds for what may hang or swell, and how much of it is tried."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TIMES = int(os.environ.get("WINGBAR_TORTURE", "1"))
"""How many times as much is tried as in `make test`: `make torture-inputs` and its like set it."""
LONGEST = 120
"""Seconds after which one input counts as a hang, on a machine however busy."""
SUPPORT = Path(__file__).parent


class Hung(BaseException):
    """No `Exception`, so that nothing on the way takes it for a fault of its own."""


@contextmanager
def in_time(what: object, times: int = 1) -> Iterator[None]:
    """Raises Hung, naming ``what``, when the block takes ``times`` as long as one input may. Main thread only."""

    def late(*_: object) -> None:
        raise Hung(str(what))

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(times * LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def in_a_child(code: str, *arguments: object, **environment: str) -> tuple[str, int]:
    """What ``code`` prints in a process of its own, and the most memory that it held, in MiB."""
    # Not getrusage's: that begins with the peak of the process that started this one.
    peak = "\nprint(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    paths = os.pathsep.join([str(SUPPORT.parents[1] / "src"), str(SUPPORT)])
    done = subprocess.run(
        [sys.executable, "-c", code + peak, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True, text=True, errors="surrogateescape", timeout=30 * LONGEST,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said, _, kilobytes = done.stdout.rstrip("\n").rpartition("\n")
    return said, int(kilobytes) >> 10
