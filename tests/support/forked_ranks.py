"""Jobs of several processes without torchrun: one process imports all that a rank needs, and forks the ranks.

A rank that torchrun starts spends most of a small job on imports. Here the first job pays for them, and no later one.
The environment of a rank is that of torchrun without restarts. As under torchrun, the first rank that fails ends the
others.

    with Forks() as forks:
        code, out, err = forks.run(["evaluate", "run"], ranks=3)
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType


class Forks:
    """The process that forks, as the tests hold it."""

    def __init__(self) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**environment, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()  # no more jobs: it ends

    def run(self, line: Sequence[str | Path], ranks: int) -> tuple[int, str, str]:
        """Run `wingbar LINE` in ``ranks`` processes; returns exit code (0: all ended well), output and errors."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps([ranks, *map(str, line)]), file=self._process.stdin, flush=True)
        code, out, err = json.loads(self._process.stdout.readline())
        return code, out, err

    def done(self, line: Sequence[str | Path], ranks: int) -> str:
        """The output of a job that ends well."""
        code, out, err = self.run(line, ranks)
        assert code == 0, err
        return out


def serve() -> None:
    """Read a job a line, and write its outcome, until the input ends."""
    import wingbar.evaluation.evaluate
    import wingbar.training  # noqa: F401 (what a rank would import)

    threads = len(list(Path("/proc/self/task").iterdir())) if Path("/proc/self/task").exists() else 1
    assert threads == 1, "a fork copies one thread only: what the others hold stays locked for ever"
    gc.freeze()  # what the ranks have in common is not visited, and so not copied, by each of their collections
    for request in sys.stdin:
        ranks, *line = json.loads(request)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            code = _job(ranks, line, out.fileno(), err.fileno())
            out.seek(0)
            err.seek(0)
            print(json.dumps([code, out.read(), err.read()]), flush=True)


def _job(ranks: int, line: list[str], out: int, err: int) -> int:
    from killing import forked

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    left = {forked(lambda rank=rank: _rank(rank, ranks, port, line, out, err)) for rank in range(ranks)}
    failure = 0
    while left:
        child, status = os.wait()
        left.discard(child)
        if status and not failure:
            failure = 1
            for other in left:
                os.kill(other, signal.SIGTERM)
    return failure


def _rank(rank: int, ranks: int, port: int, line: list[str], out: int, err: int) -> None:
    from wingbar.cli import main

    os.dup2(out, 1)
    os.dup2(err, 2)
    environment = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": ranks,
        "LOCAL_WORLD_SIZE": ranks,
        "MASTER_PORT": port,
    }
    os.environ.update({key: str(value) for key, value in environment.items()})
    elastic = {"RUN_ID": "forked", "MAX_RESTARTS": "0", "RESTART_COUNT": "0", "USE_AGENT_STORE": "False"}
    os.environ.update({"MASTER_ADDR": "127.0.0.1", **{f"TORCHELASTIC_{key}": value for key, value in elastic.items()}})
    try:
        main(line)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve()
