"""What every step of a run needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from wingbar._system.distributed import World
from wingbar.config import Config
from wingbar.data.sample import Sample
from wingbar.learning.hardware import Hardware
from wingbar.steps.data import Pictures
from wingbar.steps.reporting import Reporter
from wingbar.steps.store import R, StepResult, Store


@dataclass(frozen=True)
class Job:
    """What every step of a run needs: settings, pictures, the store of results, the reporter."""

    config: Config
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    """The readable training pictures."""
    pictures: Pictures
    """Their sizes and the validation cut."""
    store: Store
    hardware: Hardware
    reporter: Reporter
    plan: Mapping[str, int]
    """The run's trainings in their order, each with its number of training views, to estimate the time left."""
    refit: bool = False
    """Train on all pictures, with everything already chosen."""

    @property
    def world(self) -> World:
        """The ranks that share the work."""
        return self.hardware.world

    @cached_property
    def labels(self) -> Int[ndarray, "n"]:
        """Label of each sample."""
        return np.array([sample.label for sample in self.samples], np.int64)

    @property
    def validation(self) -> Int[ndarray, "v"]:
        """Indices that choices are made on; none in a refit."""
        return self.pictures.validation[:0] if self.refit else self.pictures.validation

    @property
    def held_groups(self) -> Int[ndarray, "v"]:
        """The occasion of each picture that choices are made on."""
        return self.pictures.groups[self.validation]

    @cached_property
    def training(self) -> Int[ndarray, "t"]:
        """Indices that nets are trained on."""
        return np.setdiff1d(np.arange(len(self.samples)), self.validation)

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of each sample's picture."""
        return [(int(width), int(height)) for width, height in self.pictures.sizes]

    def before_refit(self) -> Job:
        """The job of the first training, for steps that depend on no choice and no net: a refit reuses them."""
        return dataclasses.replace(self, refit=False)

    def named(self, name: str) -> str:
        """The name under which a step's result is kept: a refit has its own."""
        return f"refit-{name}" if self.refit else name

    def views_from(self, name: str) -> int:
        """Training views that the run shows its nets from the training ``name`` on."""
        names = list(self.plan)
        return sum(self.plan[later] for later in names[names.index(self.named(name)) :])

    def step(
        self, name: str, kind: type[R], settings: Any, inputs: Sequence[StepResult], compute: Callable[[], R]
    ) -> R:
        """Compute a step and store its result, a record of this ``kind``; or read it where it is stored."""

        def announced() -> R:
            self.reporter.say(self.named(name))
            return compute()

        return self.store.step(self.named(name), kind, settings, [self.pictures, *inputs], announced)
