"""A training whose ranks hold a part each of the weights, their gradients, the optimiser's state and the average.

Fully sharded data parallel: a unit's weights come together for its pass there and its pass back, and only then. What is
kept between epochs, and what is validated, is whole: any number of ranks can go on from it, sharded or not.
Sources: Zhao et al., VLDB 2023; torch.distributed.fsdp.fully_shard.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(net: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """Share the weights of a `MapNet` out, in place: every block of its backbone by itself, then what is left."""
    data = mesh["data_parallel"]
    for stage in net.get_submodule("backbone").children():
        for block in stage if isinstance(stage, (nn.Sequential, nn.ModuleList)) else ():
            if any(True for _ in block.parameters()):
                fully_shard(block, mesh=data)
    fully_shard(net, mesh=data)
    return net


def whole(tensor: Tensor) -> Tensor:
    """The tensor, on the CPU, of which each rank may hold a part. Every rank has to ask."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()


def as_held(own: Tensor, tensor: Tensor) -> Tensor:
    """This rank's part of a whole ``tensor`` where ``own`` is one."""
    if not isinstance(own, DTensor) or tensor.shape != own.shape:
        return tensor
    return distribute_tensor(tensor.to(own.device), own.device_mesh, own.placements)
