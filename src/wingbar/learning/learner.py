"""A net in training with its optimiser and its moving average: the state that is saved and restored."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric.strategies import ModelParallelStrategy
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.optim import Optimizer

from wingbar.learning.hardware import Hardware
from wingbar.learning.recipe import Recipe
from wingbar.learning.schedule import make_optimizer
from wingbar.learning.sharding import as_held, shard, whole
from wingbar.nets.saliency_head import MapNet


@dataclass(frozen=True)
class Learner:
    """A net, its optimiser and moving average, and both as Fabric wraps them."""

    plain: MapNet
    """A whole net on every rank."""
    net: MapNet
    """What the optimiser changes: ``plain`` itself, or a copy of which each rank holds a part."""
    optimizer: Optimizer
    average: ModelEmaV3 | None
    wrapped_net: Any
    wrapped_optimizer: Any

    def candidate(self) -> MapNet:
        """The net that is validated and may be kept: the moving average where there is one.

        All ranks have to call this together, because weights of which each holds a part are gathered.
        """
        current = self.net if self.average is None else self.average.module
        if self.net is self.plain:
            return current
        self.plain.load_state_dict({name: whole(tensor) for name, tensor in current.state_dict().items()})
        return self.plain

    def state(self) -> Iterator[tuple[str, Tensor]]:
        """Name and whole tensor of everything that the next step depends on; names begin with ``net.``,
        ``average.`` or ``optimizer.``.

        All ranks have to iterate over all of them together, because sharded tensors are gathered.
        """
        for kind, module in self._modules().items():
            for name, tensor in module.state_dict().items():
                yield f"{kind}.{name}", whole(tensor)
        for index, entries in self.optimizer.state_dict()["state"].items():
            for name, value in entries.items():
                if value is not None:
                    yield f"optimizer.{index}.{name}", whole(torch.as_tensor(value))

    def restore(self, state: dict[str, Tensor]) -> None:
        """Load what `state` gave, also where the number of ranks was another one."""
        for kind, module in self._modules().items():
            held = module.state_dict()
            module.load_state_dict({name: as_held(part, state[f"{kind}.{name}"]) for name, part in held.items()})
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in state.items():
            if name.startswith("optimizer."):
                _, index, entry = name.split(".", 2)
                moments.setdefault(int(index), {})[entry] = as_held(parameters[int(index)], tensor)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})

    def _modules(self) -> dict[str, nn.Module]:
        return {"net": self.net} | ({"average": self.average} if self.average is not None else {})


def learner_of(net: MapNet, recipe: Recipe, hardware: Hardware) -> Learner:
    """Prepare ``net`` for training: with optimiser and moving average, wrapped by Fabric.

    Where the weights are sharded over ranks, a copy of ``net`` is trained in its place.
    """
    fabric, strategy = hardware.fabric, hardware.fabric.strategy
    # Only contiguous weights can be sharded.
    learning = deepcopy(net).to(memory_format=torch.contiguous_format) if hardware.sharded else net
    wrapped = fabric.setup_module(learning, move_to_device=False)
    average = None
    if recipe.ema_decay:
        average = ModelEmaV3(net, decay=recipe.ema_decay, use_warmup=True, foreach=not hardware.sharded)
        if isinstance(strategy, ModelParallelStrategy):
            shard(average.module.to(memory_format=torch.contiguous_format), strategy.device_mesh)
    optimizer = make_optimizer(learning, recipe, fused=hardware.device.type == "cuda" and not hardware.sharded)
    return Learner(net, learning, optimizer, average, wrapped, fabric.setup_optimizers(optimizer))
