"""A model folder read back: safetensors and JSON only, each file checked against its checksum; no code runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.numpy
from numpy import ndarray
from safetensors import SafetensorError

from wingbar.errors import RunError
from wingbar.files import read_record

FORMAT = 2
STREAMS = ("picture", "object", "parts")
REMEDY = "copy the model folder again, or give the command of its training again: finished steps are kept"


@dataclass(frozen=True)
class Model:
    """A model folder and its card (`recognizer.json`)."""

    folder: Path
    card: dict[str, Any]

    def arrays(self, name: str) -> dict[str, ndarray]:
        """The arrays of one file. Raises RunError where it is missing, damaged or another model's."""
        content = self.content(f"{name}.safetensors", self.card["sha256"][name], REMEDY)
        try:
            return safetensors.numpy.load(content)
        except SafetensorError as error:
            raise RunError(f"{self.folder / name}.safetensors: not a safetensors file ({error}); {REMEDY}.") from None

    def content(self, file: str, sha256: str, remedy: str) -> bytes:
        """The bytes of a file with this checksum. Raises RunError, with the remedy, where it is not that."""
        path = self.folder / file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RunError(f"{path}: {error.strerror}; {remedy}.") from None
        if hashlib.sha256(content).hexdigest() != sha256:
            raise RunError(f"{path}: damaged or of another model (checksum); {remedy}.")
        return content


def read_model(run: Path | str) -> Model:
    """The model of a run folder, or a ``model`` folder moved elsewhere. Raises RunError."""
    folder = Path(run)
    if not (folder / "recognizer.json").is_file():
        folder = folder / "model"
    path = folder / "recognizer.json"
    try:
        card = read_record(path)
    except FileNotFoundError:
        raise RunError(f"{run}: no model here (model/recognizer.json); train one with `wingbar train`.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}); {REMEDY}.") from None
    try:
        check_card(card)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{path}: lacks or misstates {error}; train again.") from None
    return Model(folder, card)


def check_card(card: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError for a card that no training wrote."""
    if card["format"] != FORMAT:
        raise ValueError(f"format {card['format']!r} (another version of wingbar wrote it)")
    classes, streams = card["classes"], card["streams"]
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not named or len(set(classes)) != len(classes) or len(classes) < 2:
        raise ValueError("classes")
    if "picture" not in streams or set(streams) != set(card["sha256"]) & set(STREAMS):
        raise ValueError("streams")
    if not all(type(weight) in (int, float) and 0 <= weight <= 1.001 for weight in streams.values()):
        raise ValueError("streams")
    if type(card["test_size"]) is not int or not 32 <= card["test_size"] <= 4096:
        raise ValueError("test_size")
    if not 0 <= card["margin"] <= 2 or not isinstance(card["data"]["source"], str):
        raise ValueError("margin or data")
    if not isinstance(card.get("config", {}), dict):
        raise ValueError("config")
