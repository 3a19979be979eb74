"""A training's whole state as one safetensors file: no pickle, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from wingbar.files import write_bytes


def save_tensors(path: Path, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
    """Write ``tensors`` and the JSON-able ``info`` to ``path``: complete, or not there."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, save(plain, metadata={"info": json.dumps(info)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_tensors` wrote."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        return tensors, json.loads(file.metadata()["info"])


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
