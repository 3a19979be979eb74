"""Wingbar learns to tell look-alikes apart from pictures with one label each, and shows what it looked at."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wingbar.config import Config
    from wingbar.errors import WingbarError
    from wingbar.pipeline import train
    from wingbar.prediction import Prediction
    from wingbar.recognizer import Recognizer, load

__version__ = "0.1.0"

# Names are imported when first used, so that `import wingbar` and `wingbar --help` do not wait for torch.
_HOMES = {
    "Config": "wingbar.config",
    "Prediction": "wingbar.prediction",
    "Recognizer": "wingbar.recognizer",
    "WingbarError": "wingbar.errors",
    "load": "wingbar.recognizer",
    "train": "wingbar.pipeline",
}

__all__ = ["Config", "Prediction", "Recognizer", "WingbarError", "load", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wingbar' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
