"""A training's whole state as one safetensors file with a checksum: no pickle, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from wingbar.errors import RunError
from wingbar.files import write_bytes


@dataclass(frozen=True)
class Checkpoint:
    """Where a training's state is kept between epochs, and which training's it is."""

    path: Path
    key: str

    def write(self, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
        """Keep ``tensors`` and the JSON-able ``info``. Raises RunError where they cannot be written."""
        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        text = json.dumps(info)
        write_bytes(self.path, save(plain, metadata={"info": text, "sha256": self._checksum(plain, text)}))

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What was kept; None where nothing is. Raises RunError for a damaged file or another training's."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
                metadata = file.metadata()
            if metadata["sha256"] != self._checksum(tensors, metadata["info"]):
                raise ValueError("its checksum does not hold")
            return tensors, json.loads(metadata["info"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.path}: damaged, or another training's ({error})") from None

    def _checksum(self, tensors: dict[str, Tensor], text: str) -> str:
        return hashlib.sha256(json.dumps([self.key, text]).encode() + save(tensors)).hexdigest()


def training_state(net: nn.Module, average: nn.Module | None, optimizer: Optimizer) -> dict[str, Tensor]:
    """Every tensor that the next step depends on, under ``net.``, ``average.``, ``optimizer.``."""
    state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    if average is not None:
        state |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for index, entries in optimizer.state_dict()["state"].items():
        for name, value in entries.items():
            if value is not None:
                state[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    return state


def restore_training(state: dict[str, Tensor], net: nn.Module, average: nn.Module | None, optimizer: Optimizer) -> None:
    """Put back what `training_state` took."""
    for prefix, module in (("net.", net), ("average.", average)):
        if module is not None:
            own = {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
            module.load_state_dict(own)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if name.startswith("optimizer."):
            _, index, entry = name.split(".", 2)
            moments.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
