"""A run's folder: the result of each step, stored completely or not at all, and reused while it is up to date.

    RUN/config.toml                 the resolved settings
    RUN/steps/NAME/result.safetensors   arrays of its record
    RUN/steps/NAME/result.json          the rest, with the key of inputs and settings it belongs to
    RUN/steps/NAME/training.safetensors a training under way
    RUN/tensorboard/NAME/           scalars of each training
    RUN/model/                      what `wingbar.load` reads

A step's key is a digest of its name, its settings and its inputs' keys. A step is computed again if its stored result
has another key, is damaged (its checksum differs), or was made from other arrays than the present ones of its inputs:
a result that is computed again may differ in its last bits (on a GPU), and later steps have to fit it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import numpy as np
from jaxtyping import Int64, Shaped
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from wingbar._system.distributed import ALONE, World
from wingbar._system.files import digest, read_record, write_bytes, write_record, write_text, writing

FORMAT = 7
"""Raised when a step computes something else from the same settings, so that old results are made anew."""


@dataclass(frozen=True, eq=False)
class Ragged(Sequence[ndarray]):
    """Arrays of different lengths, one a picture, held as one: ``rows`` and where each picture's begin."""

    rows: Shaped[ndarray, "rows *columns"]
    offsets: Int64[ndarray, "pictures_and_one"]

    @staticmethod
    def of(arrays: Sequence[ndarray]) -> Ragged:
        """One array a picture, as one."""
        offsets = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int64)
        return Ragged(np.concatenate(list(arrays)) if len(arrays) else np.zeros((0, 4), np.int32), offsets)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.rows[self.offsets[index] : self.offsets[index + 1]]

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class StepResult:
    """The result of a step. Each step extends this record by fields of its own.

    Its fields are arrays, `Ragged` arrays, arrays by name, or plain values that JSON can hold.
    """

    key: str = ""
    """Digest of the step's name, settings and inputs, by which a stored result is found."""
    sha256: str = ""
    """Checksum of the stored arrays."""


R = TypeVar("R", bound=StepResult)


class Store:
    """The stored steps of one run; ``say`` is called with a message about each damaged one.

    Of several ranks only the first one reads and writes; the others receive its results.
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

    def key(self, name: str, settings: Any, inputs: Sequence[StepResult]) -> str:
        """The digest by which a step's stored result is found."""
        return digest(FORMAT, name, settings, [result.key for result in inputs])

    def step(
        self, name: str, kind: type[R], settings: Any, inputs: Sequence[StepResult], compute: Callable[[], R]
    ) -> R:
        """The step's result: the stored one if it is up to date, else computed by all ranks together, and stored."""
        key, made_from = self.key(name, settings, inputs), [result.sha256 for result in inputs]
        self.redoing = self.redoing or name == self.redo_from or name.startswith(f"{self.redo_from}-")
        stored = None if self.redoing else self.world.first(lambda: self.read(name, kind, key, made_from))
        if stored is not None:
            return stored
        self.world.first(lambda: self.forget(name, digest(key, made_from)))
        result = compute()
        # All ranks continue with the result of the first one: on another processor the last bits may differ.
        return self.world.first(lambda: self.write(name, replace(result, key=key), made_from))

    def forget(self, name: str, begun: str) -> None:
        """Delete a step's old result, and its unfinished training unless that was ``begun`` for the same."""
        folder = self.path(name)
        with writing(folder):
            if folder.exists() and (self.redoing or self.begun(name) != begun):
                shutil.rmtree(folder)
            write_text(folder / "key", begun)

    def begun(self, name: str) -> str:
        """The digest of a step's unfinished training; empty where there is none."""
        try:
            return (self.path(name) / "key").read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def read(self, name: str, kind: type[R], key: str, made_from: Sequence[str] = ()) -> R | None:
        """A step's stored result; None where there is none, it is out of date, or it is damaged."""
        folder = self.path(name)
        try:
            record = read_record(folder / "result.json")
            if record["key"] != key or record.get("made_from", list(made_from)) != list(made_from):
                return None
            content = (folder / "result.safetensors").read_bytes()
            checksum = hashlib.sha256(content).hexdigest()
            if record["sha256"] != checksum:
                raise ValueError("result.safetensors is not what its checksum says")
            return result_of(kind, load(content), record["info"], key, checksum)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            if (folder / "result.json").exists():
                self.say(f"{folder}: the kept result is damaged ({error}); made anew")
            return None

    def write(self, name: str, result: R, made_from: Sequence[str] = ()) -> R:
        """Store a step's result. The JSON is written last, with the checksum of the arrays."""
        folder = self.path(name)
        arrays, info = parted(result)
        content = save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
        write_bytes(folder / "result.safetensors", content)
        checksum = hashlib.sha256(content).hexdigest()
        record = {"key": result.key, "made_from": list(made_from), "sha256": checksum, "info": info}
        write_record(folder / "result.json", record)
        with writing(folder):
            (folder / "training.safetensors").unlink(missing_ok=True)
        return replace(result, sha256=checksum)


def parted(result: StepResult) -> tuple[dict[str, ndarray], dict[str, Any]]:
    """A record's arrays by name (``field``, or ``field.name`` where a field holds several), and its plain values."""
    arrays: dict[str, ndarray] = {}
    info: dict[str, Any] = {}
    for name in added_fields(type(result)):
        value = getattr(result, name)
        if isinstance(value, ndarray):
            arrays[name] = value
        elif isinstance(value, Ragged):
            arrays |= {f"{name}.rows": value.rows, f"{name}.offsets": value.offsets}
        elif isinstance(value, Mapping) and value and all(isinstance(array, ndarray) for array in value.values()):
            arrays |= {f"{name}.{key}": array for key, array in value.items()}
        else:
            info[name] = value
    return arrays, info


def result_of(kind: type[R], arrays: Mapping[str, ndarray], info: Mapping[str, Any], key: str, sha256: str) -> R:
    """The reverse of `parted`. Raises KeyError or TypeError for what is not a record of this ``kind``."""
    hints, values = get_type_hints(kind), dict[str, Any](info)
    for name in added_fields(kind):
        if name in values:
            continue
        if name in arrays:
            values[name] = arrays[name]
        elif hints[name] is Ragged:
            values[name] = Ragged(arrays[f"{name}.rows"], arrays[f"{name}.offsets"])
        elif get_origin(hints[name]) is not Mapping:
            raise KeyError(name)
        else:
            start = f"{name}."
            values[name] = {path.removeprefix(start): array for path, array in arrays.items() if path.startswith(start)}
    return kind(**values, key=key, sha256=sha256)


def added_fields(kind: type[StepResult]) -> list[str]:
    """Names of the fields that a step's record adds to `StepResult`."""
    return [field.name for field in fields(kind) if field.name not in ("key", "sha256")]
