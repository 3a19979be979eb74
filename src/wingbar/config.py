"""All settings of a run: one frozen record, filled by Python, the command line or a TOML file alike."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Suppress

from wingbar.errors import ConfigError, suggestion
from wingbar.learning.recipe import RECIPES, Recipe


def within(record: object, section: str, **ranges: tuple[float, float]) -> None:
    """Raise ConfigError for the first field outside its range (both ends allowed)."""
    for key, (least, most) in ranges.items():
        value = getattr(record, key)
        if not least <= value <= most:
            name = f"{section}.{key}" if section else key
            raise ConfigError(f"{name} is {value}; it must lie between {least} and {most}.")


@dataclass(frozen=True)
class ProposalSettings:
    """Selective search."""

    mode: Literal["fast", "quality"] = "fast"
    """How many colour spaces, scales and similarities are tried."""
    limit: int = 500
    """Candidates kept of each picture, best first."""
    side: int = 320
    """Pictures are searched at this short side at most."""

    def __post_init__(self) -> None:
        within(self, "proposals", limit=(1, 10_000), side=(32, 2048))


@dataclass(frozen=True)
class FilterSettings:
    """Patch filtering: which patches ClassNet learns from beside the whole pictures."""

    enabled: bool = True
    """Off: ClassNet learns from all candidates (up to the cap)."""
    scorer: Literal["roi", "crop"] = "roi"
    """Pool patches from one forward pass of the picture, or forward each patch."""
    threshold: float = 0.9
    """Least softmax of a patch at its picture's own label."""
    cap: int = 30
    """Most patches kept of one picture."""
    folds: int = 0
    """Score out of fold with this many FilterNets; 0: one net that has seen the pictures."""

    def __post_init__(self) -> None:
        within(self, "filtering", threshold=(0, 1), cap=(0, 10_000), folds=(0, 50))


@dataclass(frozen=True)
class Rule:
    """How an object's box is found, read from ``MAP THRESHOLD [VALUE] [grown]``."""

    source: str
    """``cam`` or ``principal``: which map."""
    method: Literal["otsu", "fraction", "percentile"]
    value: float
    grown: bool
    """Whether the box grows to a candidate that holds it."""

    @staticmethod
    def parse(text: str) -> Rule:
        """``cam otsu``, ``principal fraction 0.5``, ``cam percentile 70 grown``. Raises ConfigError for another."""
        words = text.split()
        grown = words[-1:] == ["grown"]
        match words[: len(words) - grown]:
            case [("cam" | "principal") as source, "otsu"]:
                return Rule(source, "otsu", 0.0, grown)
            case [("cam" | "principal") as source, ("fraction" | "percentile") as method, value]:
                most = 1.0 if method == "fraction" else 100.0
                with suppress(ValueError):
                    if 0 <= float(value) <= most:
                        return Rule(source, method, float(value), grown)
        raise ConfigError(
            f"localization.rules: {text!r} is no rule; write, say, 'cam otsu' or 'principal fraction 0.5'."
        )


@dataclass(frozen=True)
class LocalizationSettings:
    """The object's box."""

    rules: tuple[str, ...] = (
        "principal otsu",
        "principal fraction 0.5",
        "cam otsu",
        "cam fraction 0.3",
        "cam fraction 0.5",
    )
    """Map (cam or principal), threshold (otsu, fraction F or percentile P), and perhaps `grown` (to a candidate
    that holds the region). All are tried on validation pictures; the one whose crops ClassNet names best is used."""
    learn: bool = True
    """Learn from these boxes to read the object's box off ClassNet's features; off: the map's box is the object's."""
    locating_size: int = 0
    """Side of the squares that the principal map is computed at, in pixels; 0: 2.6 times `size`."""
    margin: float = 0.0
    """Context left around the object when it is cropped, as a share of its sides."""

    def __post_init__(self) -> None:
        if not self.rules:
            raise ConfigError("localization.rules is empty; give at least one, say 'cam otsu'.")
        sources = self.sources()  # of every run, so that what is no rule is told
        if not self.learn and sources != {"cam"}:
            raise ConfigError("localization.learn is off, so localization.rules may name 'cam' maps only.")
        within(self, "localization", locating_size=(0, 4096), margin=(0, 2))

    def sources(self) -> set[str]:
        """The maps that the rules ask for. Raises ConfigError for what is no rule."""
        return {Rule.parse(rule).source for rule in self.rules}


@dataclass(frozen=True)
class PartSettings:
    """Part selection and alignment."""

    count: int = 2
    """Parts of a picture."""
    rule: Literal["containment", "iou"] = "containment"
    """Which candidates may be parts: the released code's rule or the paper's."""
    iou_threshold: float = 0.4
    """For the paper's rule."""
    object_constraint: bool = True
    """Parts have to lie on the object."""
    part_constraint: bool = True
    """Parts are chosen together, spread over the object; off: the most salient ones."""
    clusters: int = 2
    """Groups of neurons that parts are aligned with."""
    alignment: Literal["one-to-one", "sum"] = "one-to-one"
    """How a part finds its cluster: ours, or the paper's literal rule."""
    heads: Literal["shared", "per-cluster"] = "shared"
    """One PartNet head, or one for each cluster."""

    def __post_init__(self) -> None:
        within(self, "parts", count=(1, 6), iou_threshold=(0, 1), clusters=(1, 32))


@dataclass(frozen=True)
class Config:
    """Settings of a run. Sections and lesser keys are set in a TOML file."""

    method: Literal["opam", "plain"] = "opam"
    """All of OPAM, or one net on whole pictures (the baseline)."""
    net: str = "mobilenetv2_100"
    """Backbone: a Res2Net of ours, vgg19_bn_cam, or any of timm's."""
    weights: str = "imagenet"
    """Where the backbone starts: imagenet, none, or a weight file."""
    size: int = 160
    """Side of the squares that nets are shown, in pixels."""
    test_size: int = 0
    """Side of the squares when predicting, in pixels; 0: `size`."""
    recipe: str = "auto"
    """Preset of the training: finetune, scratch, paper; auto: scratch when weights is none."""
    epochs: int = 0
    """Epochs of the nets that start from the given weights; 0: the recipe's."""
    crops_start: Literal["auto", "weights", "classnet"] = "auto"
    """What ObjectNet and PartNet start from: the given weights, or ClassNet as in the paper; auto: ClassNet when
    weights is none."""
    follow_epochs: int = 0
    """Epochs of nets that start from ClassNet; 0: half of the others'."""
    batch_size: int = 0
    """Pictures a step; 0: the recipe's."""
    learning_rate: float = 0.0
    """Peak learning rate; 0: the recipe's."""
    validation: float = 0.2
    """Share of the training pictures held out for every choice."""
    refit: bool = False
    """When all is chosen, train again on all training pictures."""
    seed: int = 0
    """Of everything that is drawn at random."""
    workers: int = 2
    """Loader processes; 0 loads in the training process."""
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    """Numbers in forward and backward passes; auto: bf16-mixed on a GPU that has it, else 32-true."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """What nets run on; auto: a GPU where there is one."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """Of several processes each holds the whole training (ddp) or a part of its weights and optimiser (fsdp)."""

    training: Suppress[dict[str, Any]] = field(default_factory=dict)
    """Any field of the recipe, over the preset."""
    proposals: Suppress[ProposalSettings] = field(default_factory=ProposalSettings)
    filtering: Suppress[FilterSettings] = field(default_factory=FilterSettings)
    localization: Suppress[LocalizationSettings] = field(default_factory=LocalizationSettings)
    parts: Suppress[PartSettings] = field(default_factory=PartSettings)

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1:
            raise ConfigError(f"validation is {self.validation}; it must be a share between 0 and 1.")
        within(
            self, "", size=(32, 4096), test_size=(0, 4096), seed=(0, 2**31), workers=(0, 64),
            epochs=(0, 100_000), follow_epochs=(0, 100_000), batch_size=(0, 65_536), learning_rate=(0, 1000),
        )  # fmt: skip
        self.base_recipe()

    def looking_size(self) -> int:
        """`test_size` in pixels."""
        return self.test_size or self.size

    def locating_size(self) -> int:
        """`localization.locating_size` in pixels, by default a multiple of 32."""
        return self.localization.locating_size or round(self.size * 2.6 / 32) * 32

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
        shorthand = {key: getattr(self, key) for key in ("epochs", "batch_size", "learning_rate") if getattr(self, key)}
        return fill(RECIPES[preset], {**shorthand, **self.training}, "training")

    def follow_recipe(self) -> Recipe:
        """The recipe of nets that start from ClassNet: its head is theirs, so none is fitted first."""
        base = self.base_recipe()
        epochs = self.follow_epochs or max(base.epochs // 2, 1)
        return dataclasses.replace(base, epochs=epochs, probe_head=False)


MACHINE = ("workers",)
"""Settings that change how fast a model is learnt, and nothing else."""

T = typing.TypeVar("T")


def fill(record: T, values: dict[str, Any], where: str) -> T:
    """``record`` (a dataclass) with ``values`` put in, sections within sections.

    Raises ConfigError for an unknown key (with the nearest known one) or a value of another type.
    """
    known = {f.name: f for f in fields(record)}  # type: ignore[arg-type] # any dataclass: no name for that at run time
    hints = typing.get_type_hints(type(record))
    changes: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else key
        if key not in known:
            raise ConfigError(f"{name} is no setting.{suggestion(key, known)} Known: {', '.join(known)}.")
        current = getattr(record, key)
        if is_dataclass(current) and isinstance(value, type(current)):
            changes[key] = value
        elif is_dataclass(current):
            if not isinstance(value, dict):
                raise ConfigError(f"{name} is a section: write [{name}] and its keys below it.")
            changes[key] = fill(current, value, name)
        else:
            changes[key] = convert(value, hints[key], name)
    return dataclasses.replace(record, **changes)  # type: ignore[type-var] # as above


def convert(value: Any, kind: Any, name: str) -> Any:
    """``value`` as ``kind``: whole numbers pass as floats, lists as tuples, a choice is checked."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value not in arguments:
            hint = suggestion(str(value), map(str, arguments))
            raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(map(str, arguments))}.{hint}")
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(convert(item, arguments[0], name) for item in value)
    if origin is dict and isinstance(value, dict):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = isinstance(kind, type) and not isinstance(kind, types.GenericAlias)
    if not plain or not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ConfigError(f"{name} is {value!r}; it must be of type {getattr(kind, '__name__', kind)}.")
    return value


def read_config(path: Path, base: Config | None = None) -> Config:
    """The settings of a TOML file over ``base`` (the defaults). Raises ConfigError."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}.") from None
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
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
