"""A folder's lock: who holds it, who has ended, and file systems that have none."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wingbar._system import locks
from wingbar._system.locks import locked
from wingbar.errors import RunError


def failing_with(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """From now on no file can be locked, as the system says by this number."""

    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "lockf", refuse)


def ended_process() -> str:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"process {process.pid} on {socket.gethostname()}"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_told_and_used(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing_with(monkeypatch, number)
    with locked(tmp_path):
        assert f"process {os.getpid()}" in (tmp_path / "lock").read_text()
    assert os.strerror(number) in caplog.text and "cannot lock files" in caplog.text


def test_without_locks_the_last_process_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failing_with(monkeypatch, errno.ENOLCK)
    holder = ended_process()
    (tmp_path / "lock").write_text(holder)
    with locked(tmp_path):
        assert f"{holder}, which has ended" in caplog.text


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_a_held_lock_names_its_holder(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(monkeypatch, number)
    holders = {
        "process 1 on another-host": "in use by process 1 on another-host",
        f"process {os.getppid()} on {socket.gethostname()}": f"in use by process {os.getppid()} on",
        "": "in use by another process",
        "no such words": "in use by no such words",
    }
    for text, message in holders.items():
        (tmp_path / "lock").write_text(text)
        with pytest.raises(RunError, match=message), locked(tmp_path):
            pass


def test_a_dead_holder_is_named_as_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_with(monkeypatch, errno.EAGAIN)
    (tmp_path / "lock").write_text(ended_process())
    with pytest.raises(RunError, match=r"which has ended.*delete .*lock"), locked(tmp_path):
        pass
