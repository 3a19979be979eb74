"""A training whose ranks hold a part each of the weights, their gradients, the optimiser's state and the average.

Fully sharded data parallel: a unit's weights come together for its pass there and its pass back, and only then. What is
kept between epochs, and what is validated, is whole: any number of ranks can go on from it, sharded or not.
Sources: Zhao et al., VLDB 2023; torch.distributed.fsdp.fully_shard.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from wingbar.errors import ConfigError

SHARE, LEAST = 8, 512
"""A unit has at most an eighth of the weights where its children can be units, and at least one part in 512."""


def shard(net: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Share the weights of a `MapNet` out, in place, unit by unit; what is in none comes together for the whole pass.

    Raises ConfigError for a net that cannot be.
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
    """The largest submodules of at most ``largest`` numbers, but for those of less than ``least``."""
    for child in module.children():
        listed = isinstance(child, (nn.ModuleList, nn.ModuleDict))  # never called itself
        if listed or (size_of(child) > largest and any(True for _ in child.children())):
            yield from units(child, largest, least)
        elif size_of(child) >= max(least, 1):
            yield child


def size_of(module: nn.Module) -> int:
    """How many numbers its weights are."""
    return sum(parameter.numel() for parameter in module.parameters())


def whole(tensor: Tensor) -> Tensor:
    """The tensor, on the CPU, of which each rank may hold a part. Every rank has to ask."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()


def as_held(part: Tensor, tensor: Tensor) -> Tensor:
    """This rank's part of a whole ``tensor`` where ``part`` is one."""
    if not isinstance(part, DTensor) or tensor.shape != part.shape:
        return tensor
    return distribute_tensor(tensor.to(part.device), part.device_mesh, part.placements)
