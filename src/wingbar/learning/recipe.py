"""The settings of a training: one frozen record for every net and method, and the presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wingbar.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """Settings of one training.

    The defaults are made for a few dozen pictures a class and ImageNet weights: the head is fitted on
    frozen features first, then everything is tuned gently (Kumar et al., ICLR 2022).
    """

    epochs: int = 12
    """Passes over the training pictures."""
    batch_size: int = 32
    """Pictures a step."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with momentum 0.9."""
    learning_rate: float = 1e-4
    """Peak learning rate of the body."""
    head_factor: float = 1.0
    """How many times faster than the body the head learns."""
    weight_decay: float = 0.05
    """Decoupled for AdamW, L2 for SGD; never on norms and biases."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """Cosine to zero; steps (the OPAM paper's); or constant."""
    warmup_epochs: float = 1.0
    """Linear warm-up from zero."""
    step_every: float = 0.4
    """For `step`: share of the training after which the rate is divided by ten, again and again."""
    probe_head: bool = True
    """Fit a new head on frozen features (logistic regression) before tuning everything."""
    frozen_norms: bool = True
    """Keep the batch norms' running statistics: few pictures estimate them badly."""
    label_smoothing: float = 0.1
    """Share of the target spread over all classes."""
    dropout: float = 0.2
    """Before the head."""
    ema_decay: float = 0.99
    """Decay a step of the weights' moving average, which is what is validated and kept; 0 turns it off."""
    clip_norm: float = 5.0
    """Largest norm of the gradient; 0 turns clipping off."""
    patience: int = 0
    """Stop after this many epochs without a lower validation loss; 0: train to the end."""
    scale: tuple[float, float] = (0.2, 1.0)
    """Random crops: least and largest share of the view's area."""
    jitter: float = 0.4
    """Random change of brightness, contrast and saturation, each up to this share."""
    erase: float = 0.3
    """Chance that a random rectangle of the view is blanked (random erasing)."""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("learning_rate", 0), ("patience", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"recipe.{name} is {getattr(self, name)}; it must be at least {least}.")
        low, high = self.scale
        if not 0 < low <= high <= 1:
            raise ConfigError(f"recipe.scale is {self.scale}; it must be two shares, 0 < least <= largest <= 1.")


FROM_SCRATCH = Recipe(
    epochs=30,
    learning_rate=2e-3,
    probe_head=False,
    frozen_norms=False,
    dropout=0.0,
    ema_decay=0.98,
    scale=(0.5, 1.0),
    erase=0.0,
)
"""For a net without pretrained weights."""

PAPER = Recipe(
    epochs=70,
    batch_size=16,
    optimizer="sgd",
    learning_rate=1e-4,
    weight_decay=5e-4,
    schedule="step",
    warmup_epochs=0.0,
    probe_head=False,
    frozen_norms=False,
    label_smoothing=0.0,
    dropout=0.5,
    ema_decay=0.0,
    clip_norm=0.0,
    scale=(0.77, 0.77),
    jitter=0.0,
    erase=0.0,
)
"""The OPAM release's: SGD 0.9, 5e-4, batch 16, 1e-4 divided by ten; a 224 crop of 256, mirror."""

RECIPES = {"finetune": Recipe(), "scratch": FROM_SCRATCH, "paper": PAPER}
