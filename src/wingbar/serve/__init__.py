"""The web page and its JSON interface: predictions for people and programs on a network."""

from __future__ import annotations

from importlib.util import find_spec

from wingbar.errors import ConfigError

NEEDS = ("starlette", "uvicorn", "python_multipart", "prometheus_client")


def require() -> None:
    """Raise ConfigError, with the remedy, unless the libraries of the extra ``[serve]`` are installed."""
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise ConfigError(f"wingbar serve needs {', '.join(missing)}: pip install 'wingbar[serve]'")
