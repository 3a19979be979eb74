"""Whether this machine has the device that a user names."""

from __future__ import annotations

import torch

from wingbar.errors import ConfigError


def require_device(name: str) -> None:
    """Raises ConfigError for a device that this machine, or this build of torch, does not have."""
    if (name == "cuda" and not torch.cuda.is_available()) or (name == "mps" and not torch.mps.is_available()):
        raise ConfigError(f"device {name!r}: torch {torch.__version__} finds none here; give 'auto' or 'cpu'.")
