"""Reading of a model folder: safetensors and JSON only, each file checked by its checksum; no code runs."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy import ndarray
from safetensors import SafetensorError

from wingbar._system.files import read_record
from wingbar.errors import ConfigError, RunError
from wingbar.model.card import FILE, Card

MAX_BYTES = 8 << 30
"""Of a file of a model."""
MAX_CARD = 64 << 20
REMEDY = "copy the model folder again, or give the command of its training again: finished steps are kept"


@dataclass(frozen=True)
class Model:
    """A model folder and its card."""

    folder: Path
    card: Card
    held: Mapping[str, bytes] | None = None
    """The files' contents, where they are not to be read from the folder."""

    def arrays(self, name: str) -> dict[str, ndarray]:
        """The arrays of one file. Raises RunError where it is missing, damaged, another model's or not all finite."""
        content = self.content(f"{name}.safetensors", self.card.sha256[name], REMEDY)
        path = self.folder / f"{name}.safetensors"
        try:
            arrays = safetensors.numpy.load(content)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:  # the latter three: types numpy lacks
            raise RunError(f"{path}: not a safetensors file of plain numbers ({error}); {REMEDY}.") from None
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise RunError(f"{path}: holds infinite numbers or none; {REMEDY}.")
        return arrays

    def content(self, file: str, sha256: str, remedy: str) -> bytes:
        """The bytes of a file with this checksum. Raises RunError, with the remedy, where it is not that."""
        path = self.folder / file
        try:
            content = self._read(path, remedy) if self.held is None else self.held[file]
        except (OSError, KeyError) as error:
            why = error.strerror if isinstance(error, OSError) else os.strerror(errno.ENOENT)
            raise RunError(f"{path}: {why}; {remedy}.") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise RunError(f"{path}: damaged or of another model (checksum); {remedy}.")
        return content

    def whole(self) -> Model:
        """This model with all its files' contents, for a process that does not see its folder. Raises RunError."""
        paths = [path for path in self.folder.iterdir() if path.suffix in (".safetensors", ".onnx")]
        return replace(self, held={path.name: self._read(path, REMEDY) for path in paths})

    @property
    def card_file(self) -> Path:
        """Where the card lies, for errors about it."""
        return self.folder / FILE

    def _read(self, path: Path, remedy: str) -> bytes:
        if path.exists() and (not path.is_file() or path.stat().st_size > MAX_BYTES):
            raise RunError(f"{path}: no file, or one of more than {MAX_BYTES >> 30} GiB; {remedy}.")
        return path.read_bytes()


def read_model(run: Path | str) -> Model:
    """The model of a run folder, or a ``model`` folder moved elsewhere. Raises RunError."""
    folder = Path(run)
    inner = folder / "model"
    if not (folder / FILE).is_file():
        folder = inner
    elif (inner / FILE).is_file():
        raise RunError(
            f"{run}: holds two models, {FILE} and model/{FILE}: give the one that you mean, {str(inner)!r}, or move "
            f"{FILE} and the files beside it that belong to it into a folder of their own."
        )
    path = folder / FILE
    try:
        if path.exists() and (not path.is_file() or path.stat().st_size > MAX_CARD):
            raise RunError(f"{path}: no file, or one of more than {MAX_CARD >> 20} MiB; {REMEDY}.")
        record = read_record(path)
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{run}: no model here (model/{FILE}); train one with `wingbar train`.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged ({error}); {REMEDY}.") from None
    with misstated(path):
        return Model(folder, Card.from_dict(record))


def refuse_model_folder(out: Path) -> None:
    """Raises RunError where ``out`` is itself a model's folder, or an export, rather than a run's."""
    if (out / FILE).exists():
        raise RunError(
            f"{out}: is a model's folder ({FILE}), and a training there would put a second one beside it; "
            "choose another --out."
        )


@contextmanager
def misstated(card: Path) -> Iterator[None]:
    """Raises RunError about a model's ``card`` for what goes wrong inside because the card is not as it should be."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, ConfigError) as error:
        raise RunError(f"{card}: lacks or misstates {error}; train again.") from None
