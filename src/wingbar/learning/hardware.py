"""Where nets run, and who shares the work."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import ModelParallelStrategy

from wingbar.ranks import ALONE, World


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
