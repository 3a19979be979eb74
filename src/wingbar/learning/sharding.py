"""Fully sharded data parallel: each rank holds a part of the weights, gradients, optimiser state and moving average.

A net is divided into units. The weights of a unit are gathered for its forward pass and for its backward pass, and only
then. Checkpoints, and the net that is validated, hold whole weights: any number of ranks can resume from them, sharded
or not. Sources: Zhao et al., VLDB 2023; torch.distributed.fsdp.fully_shard.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from wingbar.errors import ConfigError

SHARE, LEAST = 8, 512
"""A unit holds at most 1/8 of the weights, where its children can be units instead, and at least 1/512."""


def shard(net: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Shard the weights of a `MapNet` over the ranks, in place, unit by unit.

    Weights outside all units are gathered for the whole pass. Raises ConfigError for a net that cannot be sharded.
    """
    count = size_of(net)
    try:
        for unit in units(net.get_submodule("backbone"), count // SHARE, count // LEAST):
            fully_shard(unit, mesh=mesh["data_parallel"])
        fully_shard(net, mesh=mesh["data_parallel"])
    except (NotImplementedError, ValueError) as error:  # as fully_shard refuses weights that it has no way to cut
        raise ConfigError(f"strategy = 'fsdp' cannot share this net out ({error}); choose 'ddp'.") from error
    return net


def units(module: nn.Module, largest: int, least: int) -> Iterator[nn.Module]:
    """The largest submodules that have at most ``largest`` and at least ``least`` weights."""
    for child in module.children():
        listed = isinstance(child, (nn.ModuleList, nn.ModuleDict))  # never called itself
        if listed or (size_of(child) > largest and any(True for _ in child.children())):
            yield from units(child, largest, least)
        elif size_of(child) >= max(least, 1):
            yield child


def size_of(module: nn.Module) -> int:
    """The number of weights."""
    return sum(parameter.numel() for parameter in module.parameters())


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor on the CPU. Of a sharded one the parts are gathered, so all ranks have to call this together."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()


def as_held(part: Tensor, tensor: Tensor) -> Tensor:
    """The part of ``tensor`` that this rank holds, sharded like ``part``; the whole where ``part`` is not sharded."""
    if not isinstance(part, DTensor) or tensor.shape != part.shape:
        return tensor
    return distribute_tensor(tensor.to(part.device), part.device_mesh, part.placements)
