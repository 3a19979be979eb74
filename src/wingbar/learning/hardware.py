"""The device and precision that nets run with, and the processes that share a training."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import ClusterEnvironment, LightningEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.nn.parallel import DistributedDataParallel

from wingbar._system.devices import require_device
from wingbar._system.distributed import ALONE, World
from wingbar._system.memory import keep_freed_memory
from wingbar.config import Config
from wingbar.errors import ConfigError
from wingbar.learning.decoded import FILES, DecodedPictures
from wingbar.learning.sharding import shard

SMALL = 1_000_000
"""Nets with fewer parameters train faster when one core is left to the loaders, which have as much work as the net."""


@dataclass(frozen=True)
class Hardware:
    """The device, precision and loader processes of a training, what they read, and the ranks that share it."""

    fabric: Fabric
    workers: int
    """Loader processes; 0 loads in the training process."""
    world: World = ALONE
    """The ranks that share the work."""
    pictures: DecodedPictures = FILES
    """What views are read from."""

    @property
    def device(self) -> torch.device:
        """The device that batches go to."""
        return self.fabric.device

    @property
    def sharded(self) -> bool:
        """Whether each rank holds only a part of the weights, gradients and optimiser state."""
        return isinstance(self.fabric.strategy, ModelParallelStrategy)


def open_hardware(config: Config, world: World = ALONE) -> Hardware:
    """Open the device and precision that the settings ask for, one device for each rank.

    From then on the process keeps the memory that it frees, and GPUs multiply in TF32 what is not in bfloat16. Raises
    ConfigError for a device or a precision that the machine does not have.
    """
    keep_freed_memory()
    require_device(config.device)
    gpu = config.device in ("auto", "cuda") and torch.cuda.is_available()
    if gpu:
        torch.set_float32_matmul_precision("high")
    precision = config.precision
    if precision == "auto":
        precision = "bf16-mixed" if gpu and torch.cuda.is_bf16_supported() else "32-true"
    machines = world.size // world.local_size
    try:
        fabric = Fabric(
            accelerator=config.device, strategy=_strategy(config, world), devices=world.local_size, num_nodes=machines,
            precision=precision, plugins=_surroundings(world),
        )  # fmt: skip
        fabric.launch()
        return Hardware(fabric, config.loaders(), world)
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise ConfigError(
            f"device {config.device!r} with precision {config.precision!r}: {error} Leave both settings out "
            "to take what this machine has."
        ) from None


def _surroundings(world: World) -> ClusterEnvironment:
    """How ranks find one another: as torchrun says. A single process is one, inside a job of Slurm too."""
    return LightningEnvironment() if world.size == 1 else TorchElasticEnvironment()


def _strategy(config: Config, world: World) -> Strategy | str:
    """The strategy of Fabric. Ranks do not synchronise buffers, because the loop averages the running statistics.

    The graph is static: every step runs the same layers.
    """
    if world.size == 1:
        return "auto"
    if config.strategy == "fsdp":
        return ModelParallelStrategy(shard, data_parallel_size=world.size, tensor_parallel_size=1)
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # before torch 2.14
    options: dict[str, Any] = {name: False}
    return DDPStrategy(static_graph=True, **options)


@contextmanager
def threads_for(parameters: int) -> Iterator[None]:
    """Compute on all cores, or on all but one for a net with fewer than `SMALL` ``parameters``.

    One core is left free whatever the number of loaders. Sums over another number of threads differ in their last bits,
    and the number of loaders must change nothing but the speed. Measured in docs/performance.md, "Input".
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(max(threads - 1, 1) if parameters < SMALL else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
