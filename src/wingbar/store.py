"""A run's folder: each step's result, kept whole or not at all, and used again while it is still true.

    RUN/config.toml                 the resolved settings
    RUN/steps/NAME/result.safetensors   arrays
    RUN/steps/NAME/result.json          the rest, with the key of inputs and settings it belongs to
    RUN/steps/NAME/training.safetensors a training under way
    RUN/tensorboard/NAME/           scalars of each training
    RUN/model/                      what `wingbar.load` reads

A step's key is a digest of its name, its settings and its inputs' keys. A result whose key differs is made
anew. So is one that is damaged, which its checksum tells, and one that was made from arrays that are no longer
its inputs': a result made anew need not be the same to the bit (on a GPU), and what follows has to fit it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wingbar.errors import RunError
from wingbar.files import read_record, sweep, write_bytes, write_record, write_text, writing
from wingbar.ranks import ALONE, World

FORMAT = 1
"""Raised when a step computes something else from the same settings, so that old results are made anew."""


@dataclass(frozen=True)
class Result:
    """What a step found: arrays by name, and plain JSON-able values."""

    arrays: Mapping[str, ndarray] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    sha256: str = ""
    """Of the arrays as they are kept."""


def digest(*values: Any) -> str:
    """A short SHA-256 of JSON-able values."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


_held: set[Path] = set()
"""Folders that this process has locked: the system's locks keep out other processes only."""


@contextmanager
def locked(folder: Path, world: World = ALONE) -> Iterator[None]:
    """Keep others out of a run's folder while the ranks of one job are in it, the first for all. Raises RunError."""
    with ExitStack() as stack:
        world.first(lambda: stack.enter_context(_locked(folder)))
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


class Store:
    """The steps of one run; ``say`` is told of each that is damaged.

    Of several ranks the first alone reads and writes; the others are told what it has.
    """

    def __init__(
        self,
        folder: Path,
        redo_from: str | None = None,
        say: Callable[[str], None] = lambda text: None,
        world: World = ALONE,
    ) -> None:
        self.folder, self.redo_from, self.say, self.world = folder, redo_from, say, world
        self.redoing = False

    def path(self, name: str) -> Path:
        """The folder of a step."""
        return self.folder / "steps" / name

    def key(self, name: str, settings: Any, inputs: Sequence[Result]) -> str:
        """What a step's kept result is known by."""
        return digest(FORMAT, name, settings, [result.key for result in inputs])

    def step(self, name: str, settings: Any, inputs: Sequence[Result], compute: Callable[[], Result]) -> Result:
        """The step's result: the kept one if its key still holds, else computed by all ranks together and kept."""
        key, made_from = self.key(name, settings, inputs), [result.sha256 for result in inputs]
        self.redoing = self.redoing or name == self.redo_from or name.startswith(f"{self.redo_from}-")
        kept = None if self.redoing else self.world.first(lambda: self.read(name, key, made_from))
        if kept is not None:
            return kept
        self.world.first(lambda: self.forget(name, digest(key, made_from)))
        result = compute()
        # Every rank goes on with the first one's: another processor's sums may differ in their last bits.
        return self.world.first(lambda: self.write(name, Result(result.arrays, result.info, key), made_from))

    def forget(self, name: str, begun: str) -> None:
        """Drop a step's old result, and its training under way unless it was ``begun`` for the same."""
        folder = self.path(name)
        with writing(folder):
            if folder.exists() and (self.redoing or self.begun(name) != begun):
                shutil.rmtree(folder)
            write_text(folder / "key", begun)

    def begun(self, name: str) -> str:
        """What a step's training under way is known by; empty where none is."""
        try:
            return (self.path(name) / "key").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def read(self, name: str, key: str, made_from: Sequence[str] = ()) -> Result | None:
        """A step's kept result; None when there is none, it is another key's or other inputs', or it is damaged."""
        folder = self.path(name)
        try:
            record = read_record(folder / "result.json")
            if record["key"] != key or record.get("made_from", list(made_from)) != list(made_from):
                return None
            content = (folder / "result.safetensors").read_bytes()
            checksum = hashlib.sha256(content).hexdigest()
            if record["sha256"] != checksum:
                raise ValueError("result.safetensors is not what its checksum says")
            return Result(load(content), record["info"], key, checksum)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            if (folder / "result.json").exists():
                self.say(f"{folder}: the kept result is damaged ({error}); made anew")
            return None

    def write(self, name: str, result: Result, made_from: Sequence[str] = ()) -> Result:
        """Keep a step's result; the JSON comes last and vouches for the arrays."""
        folder = self.path(name)
        content = save({key: np.ascontiguousarray(value) for key, value in result.arrays.items()})
        write_bytes(folder / "result.safetensors", content)
        checksum = hashlib.sha256(content).hexdigest()
        record = {"key": result.key, "made_from": list(made_from), "sha256": checksum, "info": result.info}
        write_record(folder / "result.json", record)
        with writing(folder):
            (folder / "training.safetensors").unlink(missing_ok=True)
        return replace(result, sha256=checksum)


def pack(ragged: Sequence[ndarray]) -> dict[str, ndarray]:
    """Arrays of different lengths as one array and its offsets."""
    offsets = np.cumsum([0, *(len(rows) for rows in ragged)], dtype=np.int64)
    return {
        "rows": np.concatenate(list(ragged)) if ragged else np.zeros((0, 4), np.int32),
        "offsets": offsets,
    }


def unpack(arrays: Mapping[str, ndarray]) -> list[ndarray]:
    """The reverse of `pack`."""
    offsets = arrays["offsets"]
    return [arrays["rows"][start:stop] for start, stop in pairwise(offsets)]
