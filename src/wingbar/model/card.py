"""A model's card: what a model folder says of itself, in ``recognizer.json``. Written, read and checked here alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wingbar._system.files import digest, read_record, write_record
from wingbar._system.settings import fill
from wingbar.data.taxonomy import MOST_LEVELS
from wingbar.opam.alignment import AlignmentSettings
from wingbar.opam.localization import Rule
from wingbar.opam.marks import MOST_MARKS
from wingbar.opam.parts import PartSettings
from wingbar.opam.proposals import ProposalSettings
from wingbar.opam.strangers import NO_RULE, StrangerRule
from wingbar.opam.taxonomy import Lineages

FILE = "recognizer.json"
FORMAT = 7
"""Raised when a card says something else, so that an older model is refused with a sentence."""
STREAMS = ("picture", "object", "parts")
MARKS_STREAMS = (*STREAMS, "joint")
"""Of field marks, whose joint head reads the features of all views at once."""
KINDS = {
    **dict.fromkeys(("method", "net"), (str,)),
    **dict.fromkeys(("eval_size", "picture_size"), (int,)),
    **dict.fromkeys(("margin", "calibration"), (int, float)),
}
"""Of what JSON has for each."""
VIEWS = "views"
"""The one net of a model of field marks, which is shown every kind of view."""


@dataclass(frozen=True)
class Pretrained:
    """The weights that a model's training started from."""

    weights: str
    """Their name; ``none`` for a net that started from none."""
    licence: str | None = None


@dataclass(frozen=True)
class TrainedOn:
    """The pictures that a model was learnt from."""

    name: str
    source: str
    """Folder or table of the data set; empty in an export, which leaves this machine."""
    training: int = 0
    """Pictures that its nets were trained on."""
    validation: int = 0
    """Pictures that its choices were made on."""
    key: str = ""
    """Of the pictures' contents and labels, and of the cut: see `steps.data`."""
    images_root: str = ""
    """Folder that the table's paths start at, where one was named; empty in an export."""
    before: str = ""
    """What identifies the pictures that its nets had seen before, in a model whose nets are another model's."""


@dataclass(frozen=True)
class Card:
    """What a model folder says of itself."""

    method: str
    net: str
    classes: tuple[str, ...]
    fusion_weights: Mapping[str, float]
    """Of each stream that the model has, in the order of `MARKS_STREAMS`."""
    eval_size: int
    """Side of the squares that the nets are shown, in pixels."""
    picture_size: int
    """The same of whole pictures."""
    rule: Rule
    """How a map's box is cut."""
    margin: float
    """Context around the object's crop, as a share of its sides."""
    pretrained: Pretrained
    data: TrainedOn
    sha256: Mapping[str, str]
    """Checksum of each ``NAME.safetensors`` in the folder, by name."""
    lineages: Lineages
    """Groups of the classes, and how well they are told."""
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    parts: PartSettings = field(default_factory=PartSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    neuron_layer: str | None = None
    """Layer of ClassNet that parts are aligned by."""
    mark_sides: tuple[float, ...] = ()
    """Side of each field mark, as a share of the root of the object's area; none in a model of another method."""
    temperatures: Mapping[str, float] = field(default_factory=dict)
    """Of each stream of a model of field marks, whose logits it divides."""
    middle_layer: str | None = None
    """Layer that gives the map halfway, of a model of field marks; None where the net has none."""
    calibration: float = 1.0
    """Temperature of the scores of all streams together."""
    held_out: tuple[float, ...] = ()
    """Probabilities of the true classes of pictures that were held out, ascending, for candidate sets."""
    held_out_by_class: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The same of each class with enough of them for a threshold of its own."""
    strangers: StrangerRule | None = None
    """When a picture is taken for a stranger; None where pictures were too few to tell."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All settings that it was learnt with (`config.describing`)."""
    onnx: Mapping[str, str] = field(default_factory=dict)
    """Of an export: checksum of each ``STREAM.onnx``."""

    def __post_init__(self) -> None:
        """Raises ValueError for what no training writes."""
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError("classes")
        streams = set(MARKS_STREAMS) if self.has_marks else set(self.sha256) & set(STREAMS)
        if "picture" not in self.fusion_weights or set(self.fusion_weights) != streams:
            raise ValueError("fusion_weights")
        if self.has_marks and (set(self.temperatures) != streams or not 0 < len(self.mark_sides) <= MOST_MARKS):
            raise ValueError("temperatures or mark_sides")
        if self.has_marks and "second" not in self.sha256:
            raise ValueError("second (a head that older models do not have)")
        if not all(0.001 <= value <= 1000 for value in (*self.temperatures.values(), self.calibration)):
            raise ValueError("temperatures or calibration")
        if not all(0.01 <= side <= 1 for side in self.mark_sides):
            raise ValueError("mark_sides")
        if not all(0 <= weight <= 1.001 for weight in self.fusion_weights.values()):
            raise ValueError("fusion_weights")
        if not all(map(_ascending, (self.held_out, *self.held_out_by_class.values()))):
            raise ValueError("held_out")
        if not set(self.held_out_by_class) <= set(self.classes):
            raise ValueError("held_out_by_class")
        if (self.strangers is not None) != ("strangers" in self.sha256) or not _sound(self.strangers):
            raise ValueError("strangers")
        if not _fits(self.lineages, self.classes):
            raise ValueError("lineages")
        if not 32 <= self.eval_size <= 4096 or not 32 <= self.picture_size <= 8192:
            raise ValueError("eval_size or picture_size")
        if not 0 <= self.margin <= 2:
            raise ValueError("margin")

    @property
    def has_box_regression(self) -> bool:
        """Whether the model reads the object's box off ClassNet's features."""
        return "locator" in self.sha256

    @property
    def has_parts(self) -> bool:
        """Whether the model chooses parts among candidates, and aligns them."""
        return "alignment" in self.sha256

    @property
    def has_marks(self) -> bool:
        """Whether the model looks for field marks."""
        return VIEWS in self.sha256

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of the model's nets, which are those of their files."""
        return (VIEWS,) if self.has_marks else tuple(self.fusion_weights)

    @property
    def graphs(self) -> tuple[str, ...]:
        """Names of the files of an export: a net that is shown views of two sizes has one for each."""
        return ("picture", VIEWS) if self.has_marks else self.nets

    def outputs(self, stream: str) -> int:
        """How many numbers a stream's net answers with: its classes, once for each of its heads."""
        heads = self.alignment.clusters if stream == "parts" and self.alignment.heads == "per-cluster" else 1
        return heads * len(self.classes)

    def digest(self) -> str:
        """What the model is known by: another card, another model."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "format": FORMAT,
            **dataclasses.asdict(self),
            "classes": list(self.classes),
            "rule": str(self.rule),
            "mark_sides": list(self.mark_sides),
            "held_out": list(self.held_out),
            "held_out_by_class": {name: list(values) for name, values in self.held_out_by_class.items()},
        }

    @staticmethod
    def from_dict(value: Mapping[str, Any]) -> Card:
        """The reverse of `to_dict`. Raises KeyError, TypeError, ValueError or ConfigError for what is not a card."""
        if value["format"] != FORMAT:
            raise ValueError(f"format {value['format']!r} (another version of wingbar wrote it)")
        for name, kinds in KINDS.items():
            if type(value[name]) not in kinds:
                raise TypeError(name)
        if not isinstance(value["classes"], list) or not all(isinstance(name, str) for name in value["classes"]):
            raise TypeError("classes")
        for name in ("neuron_layer", "middle_layer"):
            if not isinstance(value[name], str | None):
                raise TypeError(name)
        by_class = _mapping(value, "held_out_by_class", list)
        for name, numbers in ("mark_sides", value["mark_sides"]), ("held_out", value["held_out"]), *by_class.items():
            if not isinstance(numbers, list) or not all(type(one) is float for one in numbers):
                raise TypeError(name)
        return Card(
            method=value["method"],
            net=value["net"],
            classes=tuple(value["classes"]),
            fusion_weights=_mapping(value, "fusion_weights", int, float),
            eval_size=value["eval_size"],
            picture_size=value["picture_size"],
            rule=Rule.parse(value["rule"]),
            margin=float(value["margin"]),
            pretrained=fill(Pretrained(""), value["pretrained"], "pretrained"),
            data=fill(TrainedOn("", ""), value["data"], "data"),
            sha256=_mapping(value, "sha256", str),
            proposals=fill(ProposalSettings(), value["proposals"], "proposals"),
            parts=fill(PartSettings(), value["parts"], "parts"),
            alignment=fill(AlignmentSettings(), value["alignment"], "alignment"),
            neuron_layer=value["neuron_layer"],
            mark_sides=tuple(value["mark_sides"]),
            temperatures=_mapping(value, "temperatures", int, float),
            middle_layer=value["middle_layer"],
            calibration=float(value["calibration"]),
            held_out=tuple(value["held_out"]),
            held_out_by_class={name: tuple(values) for name, values in by_class.items()},
            lineages=_lineages(value["lineages"]),
            strangers=None if value["strangers"] is None else fill(NO_RULE, value["strangers"], "strangers"),
            settings=_mapping(value, "settings"),
            onnx=_mapping(value, "onnx", str),
        )

    def write(self, folder: Path) -> None:
        """Put the card into a model's folder, whole or not at all. Raises RunError."""
        write_record(folder / FILE, self.to_dict())

    @staticmethod
    def read(folder: Path) -> Card:
        """The card in a model's folder. Raises OSError, RecursionError, and what `from_dict` raises."""
        return Card.from_dict(read_record(folder / FILE))


def _ascending(probabilities: tuple[float, ...]) -> bool:
    return all(0 <= value <= 1.001 for value in probabilities) and list(probabilities) == sorted(probabilities)


def _sound(rule: StrangerRule | None) -> bool:
    """Whether all numbers of a rule are finite and in their bounds."""
    if rule is None:
        return True
    numbers = (*rule.means, *rule.deviations, rule.slope, rule.intercept)
    alike = len(rule.means) == len(rule.deviations) > 0 and min(rule.deviations) > 0
    return alike and all(map(math.isfinite, numbers)) and 0 <= rule.threshold <= 1 and 0 <= rule.caught <= 1


def _lineages(value: Any) -> Lineages:
    """The lineages of a card. Raises KeyError or TypeError for what is none."""
    lists = {name: value[name] for name in ("levels", "rows", "scores", "right")}
    if not all(isinstance(entries, list) for entries in lists.values()):
        raise TypeError("lineages")
    if not all(isinstance(row, list) for row in (*lists["rows"], *lists["scores"])):
        raise TypeError("lineages")
    return Lineages(
        tuple(lists["levels"]), tuple(map(tuple, lists["rows"])), tuple(map(tuple, lists["scores"])),
        tuple(lists["right"]),
    )  # fmt: skip


def _fits(lineages: Lineages, classes: tuple[str, ...]) -> bool:
    """Whether lineages are of these classes, and their numbers in their bounds."""
    count = len(lineages.levels)
    if not 0 < count <= 1 + MOST_LEVELS or len(lineages.scores) != len(lineages.right):
        return False
    if any(len(row) != count for row in (*lineages.rows, *lineages.scores)):
        return False
    names = (*lineages.levels, *(name for row in lineages.rows for name in row))
    return (
        all(isinstance(name, str) for name in names)
        and tuple(row[0] for row in lineages.rows) == classes
        and all(type(score) in (int, float) and 0 <= score <= 1 for row in lineages.scores for score in row)
        and all(type(first) is int and 0 <= first <= count for first in lineages.right)
    )


def _mapping(value: Mapping[str, Any], name: str, *kinds: type) -> dict[str, Any]:
    """The JSON object ``name`` in ``value``, its values of one of ``kinds``. Raises TypeError for another."""
    entries = value[name]
    if not isinstance(entries, dict) or (kinds and not all(type(one) in kinds for one in entries.values())):
        raise TypeError(name)
    return entries
