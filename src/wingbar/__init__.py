"""Wingbar learns to tell look-alikes apart from pictures with one label each, and shows what it looked at."""

import importlib as _importlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from wingbar.config import Config
    from wingbar.errors import (
        ConfigError,
        DataError,
        ExportError,
        PictureError,
        PictureNeedsMemory,
        PictureTooLarge,
        RunError,
        WeightsError,
        WingbarError,
    )
    from wingbar.evaluation.evaluate import evaluate
    from wingbar.model.export import export
    from wingbar.prediction import Part, Prediction
    from wingbar.recognizer import Recognizer, load
    from wingbar.training import train

    __version__: str

__all__ = [
    "Config",
    "ConfigError",
    "DataError",
    "ExportError",
    "Part",
    "PictureError",
    "PictureNeedsMemory",
    "PictureTooLarge",
    "Prediction",
    "Recognizer",
    "RunError",
    "WeightsError",
    "WingbarError",
    "evaluate",
    "export",
    "load",
    "train",
]

# Names are imported when first used, so that `import wingbar` and `wingbar --help` do not wait for torch.
_MODULES = {
    "Config": "config",
    "Part": "prediction",
    "Prediction": "prediction",
    "Recognizer": "recognizer",
    "evaluate": "evaluation.evaluate",
    "export": "model.export",
    "load": "recognizer",
    "train": "training",
}
"""Where each public name is defined; the errors are in ``errors``."""


def __getattr__(name: str) -> _typing.Any:
    if name == "__version__":
        return _importlib.import_module("importlib.metadata").version("wingbar")
    if name not in __all__:
        raise AttributeError(f"module 'wingbar' has no attribute {name!r}")
    return getattr(_importlib.import_module(f"wingbar.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
