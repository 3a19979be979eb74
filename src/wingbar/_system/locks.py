"""A folder's lock: one process, or the ranks of one job, at work in it at a time."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wingbar._system.distributed import ALONE, World
from wingbar._system.files import mark_output, sweep, writing
from wingbar.errors import RunError

_held: set[Path] = set()
"""Folders that this process has locked: the system's locks keep out other processes only."""


@contextmanager
def locked(folder: Path, world: World = ALONE) -> Iterator[None]:
    """Keep others out of a run's folder while the ranks of one job are in it, the first for all. Raises RunError."""
    with ExitStack() as stack:
        world.first(lambda: stack.enter_context(_locked(folder)))
        world.first(lambda: mark_output(folder))
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others out of a run's folder, and clear away what a killed one left. Raises RunError when one is in it.

    The lock is the process's, not its file's: it goes with the process, however that ends, and no loader process
    that outlives it for a moment has inherited it.
    """
    me, place = f"process {os.getpid()} on {socket.gethostname()}", folder.resolve()
    if place in _held:  # asked before the file is opened: its closing would undo the lock
        raise _in_use(folder, me)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written to ({error.strerror}); choose another --out.") from None
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise _in_use(folder, lock.read(200).strip() or "another process") from None
        _held.add(place)
        try:
            with writing(folder):
                lock.truncate(0)
                lock.write(me)
                lock.flush()
                for own in (folder, *folder.glob("steps/*")):
                    sweep(own)
            yield
        finally:
            _held.discard(place)


def _in_use(folder: Path, holder: str) -> RunError:
    return RunError(f"{folder}: in use by {holder}; wait for it or choose another --out.")
