"""A model folder: what a prediction needs and nothing else. It moves to another machine as it is.

model/recognizer.json         classes, sizes, settings, fusion weights, licences, checksums
model/picture.safetensors     ClassNet (or the one net of a plain run); object and parts beside it
model/alignment.safetensors   clusters of neurons
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from wingbar.config import describing, to_toml
from wingbar.data.sample import Dataset
from wingbar.files import new_folder, read_record, write_bytes, write_record, write_text, writing
from wingbar.model import FORMAT, STREAMS
from wingbar.steps import Job
from wingbar.store import Result


def save_model(folder: Path, job: Job, dataset: Dataset, learned: dict[str, Result]) -> None:
    """Put the model folder in its place, whole or not at all, and the settings it was learnt with beside it."""
    config = job.config
    arrays = {name: learned[name].arrays for name in STREAMS if name in learned}
    if "objects" in learned and config.localization.learn:
        arrays["locator"] = {key: learned["objects"].arrays[key] for key in ("weight", "bias")}
    if "alignment" in learned:
        arrays["alignment"] = {key: learned["alignment"].arrays[key] for key in ("neurons", "mean", "deviation")}
    contents = {name: _content(tensors) for name, tensors in arrays.items()}
    streams = [name for name in STREAMS if name in learned]
    weights = learned["fusion"].info["weights"] if "fusion" in learned else [1.0]
    card = {
        "format": FORMAT,
        "method": config.method,
        "net": config.net,
        "classes": list(job.classes),
        "streams": dict(zip(streams, weights, strict=True)),
        "test_size": config.looking_size(),
        "rule": learned["map-boxes"].info["rule"] if "map-boxes" in learned else "cam otsu",
        "margin": config.localization.margin,
        "proposals": dataclasses.asdict(config.proposals),
        "parts": dataclasses.asdict(config.parts),
        "neuron_layer": learned["alignment"].info["layer"] if "alignment" in learned else None,
        "pretrained": {key: learned["picture"].info.get(key) for key in ("weights", "licence")},
        "data": {
            "name": dataset.name,
            "source": str(dataset.source),
            "training": len(job.training),
            "validation": len(job.validation),
            "key": job.data.key,
        },
        "config": describing(config),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    if card != _known_card(folder):  # both would speak of the old model
        with writing(folder.parent):
            (folder.parent / "evaluation.json").unlink(missing_ok=True)
        shutil.rmtree(folder.parent / "guide", ignore_errors=True)
    with new_folder(folder) as fresh:
        for name, content in contents.items():
            write_bytes(fresh / f"{name}.safetensors", content)
        write_record(fresh / "recognizer.json", card)
    write_text(folder.parent / "config.toml", to_toml(config))


def _known_card(folder: Path) -> Any:
    try:
        return read_record(folder / "recognizer.json")
    except (OSError, ValueError):
        return None


def _content(arrays: Mapping[str, np.ndarray]) -> bytes:
    return save({key: np.ascontiguousarray(value) for key, value in arrays.items()})
