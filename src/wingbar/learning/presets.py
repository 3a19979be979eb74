"""Presets: net, size of the pictures, epochs and refit in one word, by how long one is ready to wait."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch

from wingbar.config import Config
from wingbar.errors import ConfigError, suggestion
from wingbar.nets.weights import available

STRONG, STRONG_BY_PIP = "convnext_tiny.fb_in22k_ft_in1k", "tf_efficientnet_lite2"
"""The net of ``best``, and the one in its place where those weights cannot be had."""
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"net": "tf_efficientnet_lite0", "size": 160, "epochs": 6, "refit": False},
    "good": {"net": "tf_efficientnet_lite0", "size": 224, "epochs": None, "refit": False},
    "best": {"net": STRONG, "size": 448, "epochs": None, "refit": True},
}
"""Settings by name of the preset; no epochs: the recipe's."""
CHOICES = frozenset({*PRESETS["good"], "weights", "recipe", "training"})
"""Settings that ``auto`` leaves alone: who gives one of them has chosen."""
MANY = 6000
"""Training pictures for which ``good`` takes hours on two cores: 600 took 23 minutes on one (docs/results.md)."""


def with_preset(config: Config, name: str) -> Config:
    """``config`` with the settings of the preset ``name``. Raises ConfigError for an unknown one."""
    if name not in PRESETS:
        known = ("auto", *PRESETS)
        raise ConfigError(f"preset {name!r} is unknown.{suggestion(name, known)} Known: {', '.join(known)}.")
    return dataclasses.replace(config, **PRESETS[name])


def automatic(config: Config, pictures: int, on_cpu: bool = False) -> tuple[Config, str]:
    """``config`` with the preset for so many training ``pictures`` on this machine, and in words which one and why.

    ``on_cpu`` leaves a GPU out of account.
    """
    if not on_cpu and torch.cuda.is_available():
        best, why = with_preset(config, "best"), "there is a GPU"
        if not available(STRONG):
            best = dataclasses.replace(best, net=STRONG_BY_PIP)
            why += f"; the weights of {STRONG} cannot be had here"
        return best, f"best ({why})"
    if pictures > MANY:
        return with_preset(config, "quick"), f"quick (no GPU, and more than {MANY:,} pictures)"
    return with_preset(config, "good"), "good (no GPU)"


def chosen_already(names: Iterable[str]) -> bool:
    """Whether one of the settings with these ``names`` leaves ``auto`` nothing to choose."""
    return not CHOICES.isdisjoint(names)
