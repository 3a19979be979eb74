"""A lock on a folder: only one process, or the ranks of one job, may work in it at a time."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from wingbar._system.distributed import ALONE, World
from wingbar._system.files import mark_output, sweep, writing
from wingbar._system.text import visible
from wingbar.errors import RunError

logger = logging.getLogger(__name__)

HELD = (errno.EAGAIN, errno.EACCES)
"""Error numbers that mean that another process holds the lock: fcntl(2). Others mean that locks are not supported."""

_held: set[Path] = set()
"""Folders that this process has locked. It mirrors the system's locks, which keep out other processes only."""


@contextmanager
def locked(folder: Path, world: World = ALONE) -> Iterator[None]:
    """Lock a run's folder for the ranks of one job; the first rank holds it. Raises RunError where another has it."""
    with ExitStack() as stack:
        world.first(lambda: stack.enter_context(_locked(folder)))
        world.first(lambda: mark_output(folder))
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a run's folder for this process, and remove what a killed process left. Raises RunError where it is locked.

    The lock belongs to the process and not to the open file. So it is released when the process ends in any way, and
    loader processes do not inherit it. A file system without locks gets a warning in the log and no lock.
    """
    me, place = f"process {os.getpid()} on {socket.gethostname()}", folder.resolve()
    if place in _held:  # asked before the file is opened: its closing would undo the lock
        raise RunError(f"{folder}: in use by {me}; wait for it or choose another --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written to ({error.strerror}); choose another --out.") from None
    with lock:
        _take(lock, folder)
        _held.add(place)
        try:
            with writing(folder):
                lock.truncate(0)
                lock.write(me)
                lock.flush()
                for step in (folder, *folder.glob("steps/*")):
                    sweep(step)
            yield
        finally:
            _held.discard(place)


def _take(lock: IO[str], folder: Path) -> None:
    """Lock an open file, or log that its file system has no locks. Raises RunError when another process holds it."""
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    except OSError as failure:
        error = failure
    lock.seek(0)
    holder = lock.read(200).strip()
    ended = _has_ended(holder)
    if error.errno not in HELD:
        last = f" The last one was {holder}{', which has ended' if ended else ''}." if holder else ""
        logger.warning(
            "%s: the file system cannot lock files (%s), so nothing keeps a second process out: see that none is at "
            "work in it.%s", visible(str(folder)), error.strerror, visible(last),
        )  # fmt: skip
    elif ended:
        raise RunError(
            f"{folder}: still locked for {holder}, which has ended. Wait until the file system notices, or delete "
            f"{folder / 'lock'}."
        )
    else:
        raise RunError(f"{folder}: in use by {holder or 'another process'}; wait for it or choose another --out.")


def _has_ended(holder: str) -> bool:
    """Whether a lock's text names a process of this machine that is no longer there."""
    named = re.fullmatch(r"process (\d{1,9}) on (.+)", holder)
    if named is None or named[2] != socket.gethostname():
        return False
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's
        return False
    return False
