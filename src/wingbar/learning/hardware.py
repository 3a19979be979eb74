"""Where nets run, and who shares the work."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.nn.parallel import DistributedDataParallel

from wingbar._system.distributed import ALONE, World
from wingbar._system.memory import keep_freed_memory
from wingbar.config import Config
from wingbar.errors import ConfigError
from wingbar.learning.sharding import shard

SMALL = 1_000_000
"""Parameters below which a net learns faster where a core is left to its loaders, which have as much to do."""


@dataclass(frozen=True)
class Hardware:
    """Where nets run."""

    fabric: Fabric
    workers: int
    """Loader processes; 0 loads in the training process."""
    world: World = ALONE
    """The ranks that share the work."""

    @property
    def device(self) -> torch.device:
        """The device that batches go to."""
        return self.fabric.device

    @property
    def sharded(self) -> bool:
        """Whether each rank holds a part of what a training keeps, rather than all of it."""
        return isinstance(self.fabric.strategy, ModelParallelStrategy)


def open_hardware(config: Config, world: World = ALONE) -> Hardware:
    """The device and precision that the settings ask for, a rank a device; the process keeps the memory it frees.

    Raises ConfigError for what is not there.
    """
    keep_freed_memory()
    precision = config.precision
    if precision == "auto":
        gpu = config.device in ("auto", "cuda") and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if gpu else "32-true"
    machines = world.size // world.local_size
    try:
        fabric = Fabric(
            accelerator=config.device, strategy=_strategy(config, world), devices=world.local_size, num_nodes=machines,
            precision=precision,
        )  # fmt: skip
        fabric.launch()
        return Hardware(fabric, config.workers, world)
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise ConfigError(f"device {config.device!r} with precision {config.precision}: {error}") from None


def _strategy(config: Config, world: World) -> Strategy | str:
    """Ranks keep their own running statistics, which the loop averages; every step uses the same of a net's layers."""
    if world.size == 1:
        return "auto"
    if config.strategy == "fsdp":
        return ModelParallelStrategy(shard, data_parallel_size=world.size, tensor_parallel_size=1)
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # before torch 2.14
    kept: dict[str, Any] = {name: False}
    return DDPStrategy(static_graph=True, **kept)


@contextmanager
def threads_for(parameters: int) -> Iterator[None]:
    """Compute on all cores; a net of so few ``parameters`` that it is `SMALL` on all but one.

    It is one core whatever the number of loaders: sums over another number of threads differ in their last bits,
    and loaders are to change nothing but the speed. Measured in docs/performance.md, "Input".
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(max(threads - 1, 1) if parameters < SMALL else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
