"""A run's folder: each step's result, kept whole or not at all, and used again while it is still true.

    RUN/config.toml                 the resolved settings
    RUN/steps/NAME/result.safetensors   arrays
    RUN/steps/NAME/result.json          the rest, with the key of inputs and settings it belongs to
    RUN/steps/NAME/training.safetensors a training under way
    RUN/tensorboard/NAME/           scalars of each training
    RUN/model/                      what `wingbar.load` reads

A step's key is a digest of its name, its settings and its inputs' keys. A result whose key differs is made
anew; one whose checksum differs from the file's is damaged, and made anew too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wingbar.errors import RunError
from wingbar.files import write_bytes, write_json, write_text

FORMAT = 1
"""Raised when a step computes something else from the same settings, so that old results are made anew."""


@dataclass(frozen=True)
class Result:
    """What a step found: arrays by name, and plain JSON-able values."""

    arrays: Mapping[str, ndarray] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""


def digest(*values: Any) -> str:
    """A short SHA-256 of JSON-able values."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Store:
    """The steps of one run."""

    def __init__(self, folder: Path, redo_from: str | None = None) -> None:
        self.folder, self.redo_from = folder, redo_from
        self.redoing = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out of the folder. Raises RunError when one is in it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("a+")
        except OSError as error:
            raise RunError(f"{self.folder}: cannot be written to ({error.strerror}); choose another --out.") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise RunError(f"{self.folder}: in use by {holder}; wait for it or choose another --out.") from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()}")
            lock.flush()
            yield

    def path(self, name: str) -> Path:
        """The folder of a step."""
        return self.folder / "steps" / name

    def key(self, name: str, settings: Any, inputs: Sequence[Result]) -> str:
        """What a step's kept result is known by."""
        return digest(FORMAT, name, settings, [result.key for result in inputs])

    def step(self, name: str, settings: Any, inputs: Sequence[Result], compute: Callable[[], Result]) -> Result:
        """The step's result: the kept one if its key still holds, else computed and kept."""
        key = self.key(name, settings, inputs)
        self.redoing = self.redoing or name == self.redo_from or name.startswith(f"{self.redo_from}-")
        kept = None if self.redoing else self.read(name, key)
        if kept is not None:
            return kept
        self.forget(name, key)
        result = compute()
        return self.write(name, Result(result.arrays, result.info, key))

    def forget(self, name: str, key: str) -> None:
        """Drop a step's old result, and its training under way unless it belongs to the same key."""
        folder, marker = self.path(name), self.path(name) / "key"
        if folder.exists() and (self.redoing or not marker.exists() or marker.read_text() != key):
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(marker, key)

    def read(self, name: str, key: str) -> Result | None:
        """A step's kept result; None when there is none, it is another key's, or it is damaged."""
        folder = self.path(name)
        try:
            record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            content = (folder / "result.safetensors").read_bytes()
            if record["key"] != key or record["sha256"] != hashlib.sha256(content).hexdigest():
                return None
            return Result(load(content), record["info"], key)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None

    def write(self, name: str, result: Result) -> Result:
        """Keep a step's result; the JSON comes last and vouches for the arrays."""
        folder = self.path(name)
        content = save({key: np.ascontiguousarray(value) for key, value in result.arrays.items()})
        write_bytes(folder / "result.safetensors", content)
        checksum = hashlib.sha256(content).hexdigest()
        write_json(folder / "result.json", {"key": result.key, "sha256": checksum, "info": result.info})
        (folder / "training.safetensors").unlink(missing_ok=True)
        return result


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
