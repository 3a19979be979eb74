"""All settings of a run: one frozen record, filled by Python, the command line or a TOML file alike.

The settings of a step stand beside its equation, in `wingbar.opam`; those of a training in `wingbar.learning.recipe`.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wingbar._system.settings import fill, read_toml, within
from wingbar.errors import ConfigError, suggestion
from wingbar.learning.recipe import RECIPES, Recipe
from wingbar.opam.alignment import AlignmentSettings
from wingbar.opam.filtering import FilterSettings
from wingbar.opam.localization import LocalizationSettings
from wingbar.opam.marks import MarkSettings
from wingbar.opam.parts import PartSettings
from wingbar.opam.proposals import ProposalSettings

LOCATING_FACTOR = 2.6
"""How many times `size` the squares are large that the principal map is computed at, by default."""
PICTURE_FACTOR = 2**0.5
"""How many times `eval_size` the squares are large that field marks show of whole pictures, where objects are small.

One pass at this size costs what two cost at the size: those of a picture and its mirror.
"""


@dataclass(frozen=True)
class Config:
    """Settings of a run. Sections and lesser keys are set in a TOML file."""

    method: Literal["field-marks", "opam", "plain"] = "field-marks"
    """Field marks: one net for the picture, the object and its marks; the paper's OPAM, with a net for each; or one net
    on whole pictures, the baseline."""
    net: str = "tf_efficientnet_lite0"
    """Backbone: a Res2Net of ours, vgg19_bn_cam, or any of timm's."""
    weights: str = "imagenet"
    """Where the backbone starts: imagenet, none, or a weight file."""
    size: int = 224
    """Side of the squares that nets are shown, in pixels."""
    eval_size: int | None = None
    """Side of the squares when predicting, in pixels; none: `size`."""
    recipe: str = "auto"
    """Preset of the training: finetune, scratch, paper; auto: scratch when weights is none."""
    epochs: int | None = None
    """Epochs of the nets that start from the given weights; none: the recipe's."""
    crops_start: Literal["auto", "weights", "classnet"] = "auto"
    """What ObjectNet and PartNet start from: the given weights, or ClassNet as in the paper; auto: ClassNet when
    weights is none."""
    follow_epochs: int | None = None
    """Epochs of nets that start from ClassNet; none: half of the others'."""
    batch_size: int | None = None
    """Pictures a step; none: the recipe's."""
    learning_rate: float | None = None
    """Peak learning rate; none: the recipe's."""
    validation: float = 0.2
    """Share of the training pictures held out for every choice."""
    refit: bool = False
    """When all is chosen, train again on all training pictures."""
    seed: int = 0
    """Of everything that is drawn at random."""
    workers: int | None = None
    """Loader processes; 0 loads in the training process; none: one for each core, 2 to 16."""
    decoded_gb: float = 4.0
    """Disk space for decoded training pictures while a run lasts, in GB; 0: pictures are decoded for every view."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """Numbers in forward and backward passes; auto: bf16-mixed on a GPU that has it, else 32-true."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What nets run on; auto: a GPU where there is one."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """Of several processes each holds the whole training (ddp) or a part of its weights and optimiser (fsdp)."""

    training: dict[str, Any] = field(default_factory=dict)
    """Any field of the recipe, over the preset."""
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    filtering: FilterSettings = field(default_factory=FilterSettings)
    localization: LocalizationSettings = field(default_factory=LocalizationSettings)
    marks: MarkSettings = field(default_factory=MarkSettings)
    parts: PartSettings = field(default_factory=PartSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1:
            raise ConfigError(f"validation is {self.validation}; it must be a share between 0 and 1.")
        within(
            self, "", size=(32, 4096), eval_size=(32, 4096), seed=(0, 2**31), workers=(0, 64), decoded_gb=(0, 1e6),
            epochs=(1, 100_000), follow_epochs=(1, 100_000), batch_size=(1, 65_536), learning_rate=(0, 1000),
        )  # fmt: skip
        self.base_recipe()

    def prediction_size(self) -> int:
        """`eval_size` in pixels."""
        return self.eval_size or self.size

    def picture_size(self) -> int:
        """Side of the squares of whole pictures when predicting, in pixels; of field marks a multiple of 32."""
        side = self.prediction_size()
        return round(side * PICTURE_FACTOR / 32) * 32 if self.method == "field-marks" else side

    def locating_size(self) -> int:
        """`localization.locating_size` in pixels, by default a multiple of 32."""
        return self.localization.locating_size or round(self.size * LOCATING_FACTOR / 32) * 32

    def loaders(self) -> int:
        """`workers`, by default one for each core, but 2 to 16."""
        return min(max(os.cpu_count() or 1, 2), 16) if self.workers is None else self.workers

    def crops_start_from_classnet(self) -> bool:
        """`crops_start`, with auto resolved."""
        return self.crops_start == "classnet" or (self.crops_start == "auto" and self.weights == "none")

    def base_recipe(self) -> Recipe:
        """The recipe of nets that start from the given weights."""
        preset = self.recipe
        if preset == "auto":
            preset = "scratch" if self.weights == "none" else "finetune"
        if preset not in RECIPES:
            raise ConfigError(
                f"recipe {preset!r} is unknown.{suggestion(preset, RECIPES)} Known: auto, {', '.join(RECIPES)}."
            )
        shorthand = {
            key: value for key in ("epochs", "batch_size", "learning_rate") if (value := getattr(self, key)) is not None
        }
        return fill(RECIPES[preset], {**shorthand, **self.training}, "training")

    def follow_recipe(self) -> Recipe:
        """The recipe of nets that start from ClassNet: its head is theirs, so none is fitted first."""
        base = self.base_recipe()
        epochs = self.follow_epochs or max(base.epochs // 2, 1)
        return dataclasses.replace(base, epochs=epochs, probe_head=False)


MACHINE = ("workers",)
"""Settings that change how fast a model is learnt, and nothing else."""


def read_config(path: Path, base: Config | None = None) -> Config:
    """The settings of a TOML file over ``base`` (the defaults). Raises ConfigError."""
    values = read_toml(path, "--config")
    try:
        return fill(base or Config(), values, "")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def to_toml(config: Config) -> str:
    """The resolved settings as TOML; `read_config` gives them back."""
    import tomli_w

    return tomli_w.dumps(_plain(dataclasses.asdict(config)))


def describing(config: Config) -> dict[str, Any]:
    """All settings but those of the machine, which change nothing: what a model is kept with."""
    return {key: value for key, value in _plain(dataclasses.asdict(config)).items() if key not in MACHINE}


def _plain(value: Any) -> Any:
    """Lists for tuples, and nothing for what is not set: TOML has no word for none."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
