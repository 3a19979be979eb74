"""The measurements of each epoch of a training, its best epoch, and whether the training is finished."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from wingbar.learning.recipe import Recipe


@dataclass(frozen=True)
class Epoch:
    """The measurements of one epoch: losses, accuracy on validation pictures (0 to 1), learning rate, speed."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    pictures_per_second: float


@dataclass(frozen=True)
class History:
    """The epochs of a training and which one was kept."""

    epochs: tuple[Epoch, ...] = ()
    best: int = -1
    """The kept epoch, that of the lowest validation loss; -1 before the first.

    Not that of the highest accuracy: on a hundred pictures it is the luckiest epoch, which may be the second of twelve.
    """

    def add(self, epoch: Epoch) -> History:
        """A history with ``epoch`` appended."""
        least = self.epochs[self.best].val_loss if self.best >= 0 else math.nan
        better = math.isnan(least) or epoch.val_loss < least
        return History((*self.epochs, epoch), len(self.epochs) if better else self.best)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        epochs = [{k: None if v != v else v for k, v in vars(epoch).items()} for epoch in self.epochs]
        return {"best": self.best, "epochs": epochs}

    @staticmethod
    def from_dict(value: dict[str, Any]) -> History:
        """The reverse of `to_dict`."""
        known: list[dict[str, Any]] = [
            {k: math.nan if v is None else v for k, v in epoch.items()} for epoch in value["epochs"]
        ]
        return History(tuple(Epoch(**epoch) for epoch in known), value["best"])


def finished(history: History, recipe: Recipe) -> bool:
    """Whether all epochs are done, or the validation has not improved for ``recipe.patience`` epochs."""
    done = len(history.epochs)
    waited = done - 1 - history.best
    return done >= recipe.epochs or bool(recipe.patience and done and waited >= recipe.patience)
