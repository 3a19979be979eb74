"""Writing a model folder: what a prediction needs and nothing else. It moves to another machine as it is.

model/recognizer.json         the card: classes, sizes, settings, fusion weights, licences, checksums
model/views.safetensors       of field marks: the one net of all views
model/readout.safetensors     of field marks: the regressions of corners and the detectors of marks
model/second.safetensors      of field marks: the second head of whole pictures
model/joint.safetensors       of field marks: the head that reads the features of all views at once
model/picture.safetensors     of other methods: ClassNet (or the one net of a plain run); object and parts beside it
model/locator.safetensors     of OPAM: the regression of the object's box
model/alignment.safetensors   of OPAM: clusters of neurons
model/strangers.safetensors   where the classes lie among feature vectors, by which strangers are told
model/seen.safetensors        hashes of the training pictures; nothing but `data check` needs it, so it may be removed
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy import ndarray
from safetensors.numpy import save

from wingbar._system.files import new_folder, write_bytes, writing
from wingbar.errors import ConfigError
from wingbar.model.card import Card

SEEN = "seen.safetensors"
"""Hashes of training pictures, which whoever gives a model away may remove."""


def serialized(arrays: Mapping[str, Mapping[str, ndarray]]) -> dict[str, bytes]:
    """The content of each ``NAME.safetensors``, by name."""
    return {
        name: save({key: np.ascontiguousarray(value) for key, value in tensors.items()})
        for name, tensors in arrays.items()
    }


def checksums(contents: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each content, for the card."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def save_model(folder: Path, card: Card, contents: Mapping[str, bytes]) -> None:
    """Put the model folder in its place, whole or not at all. Raises RunError.

    What was said of another model, in the run around it, goes: its evaluation and its guide.
    """
    if not _holds(folder, card):
        with writing(folder.parent):
            (folder.parent / "evaluation.json").unlink(missing_ok=True)
        shutil.rmtree(folder.parent / "guide", ignore_errors=True)
    with new_folder(folder) as fresh:
        for name, content in contents.items():
            write_bytes(fresh / f"{name}.safetensors", content)
        card.write(fresh)


def _holds(folder: Path, card: Card) -> bool:
    """Whether the folder has this very card."""
    with suppress(OSError, ValueError, KeyError, TypeError, ConfigError):
        return Card.read(folder) == card
    return False
