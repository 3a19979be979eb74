"""What users hold: a trained recogniser that names a picture, boxes the object and its telling parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from jaxtyping import Float32, Int32, UInt8
from lightning_fabric import Fabric
from numpy import ndarray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from wingbar.attention import (
    Alignment,
    align,
    crop_boxes,
    look,
    object_box,
    part_boxes,
    part_responses,
    propose,
    softmax,
)
from wingbar.boxes import Box
from wingbar.config import PartSettings, ProposalSettings, Rule, fill
from wingbar.errors import ConfigError, PictureError, RunError
from wingbar.images import Picture, Source, read_picture
from wingbar.learning.loop import Hardware, judge, normalize
from wingbar.learning.views import READ_SIDE, crop_square, to_tensor
from wingbar.nets import create
from wingbar.nets.saliency_head import MapNet
from wingbar.opam.fusion import fuse
from wingbar.opam.saliency import resize_map

NETS = ("picture", "object", "parts", "locator")
NO_BOXES = np.zeros((0, 4), np.int32)


@dataclass(frozen=True, eq=False)
class Part:
    """One telling part."""

    box: Box
    cluster: int
    """Which group of neurons it excites: parts of one cluster show the same place of different objects."""
    scores: dict[str, float]
    """Label -> probability, by this part alone."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a recogniser says of one picture. A picture that cannot be read has only ``path`` and ``error``."""

    path: str | None
    size: tuple[int, int] = (0, 0)
    """(width, height) of the original picture, upright."""
    scores: dict[str, float] = field(default_factory=dict)
    """Label -> fused probability, the likeliest first."""
    object_box: Box = (0, 0, 0, 0)
    """x1, y1, x2, y2 in pixels of the original, half-open."""
    parts: tuple[Part, ...] = ()
    streams: dict[str, dict[str, float]] = field(default_factory=dict)
    """picture, object, parts -> label -> probability."""
    map: Float32[ndarray, "h w"] = field(default_factory=lambda: np.zeros((1, 1), np.float32))
    """Saliency in [0, 1] at the net's own resolution."""
    object_map: Float32[ndarray, "h2 w2"] = field(default_factory=lambda: np.zeros((1, 1), np.float32))
    """The map in [0, 1] that the object's box was cut from."""
    evidence: Float32[ndarray, "classes h w"] = field(default_factory=lambda: np.zeros((0, 1, 1), np.float32))
    """What speaks for each class where, in logits, in the order of `Recognizer.classes`; `map` is the best class's."""
    error: str | None = None

    @property
    def label(self) -> str:
        """The likeliest class. Raises PictureError for a picture that could not be read."""
        if self.error is not None:
            raise PictureError(self.error)
        return next(iter(self.scores))

    @property
    def score(self) -> float:
        """Probability of `label`."""
        return self.scores[self.label]

    @property
    def saliency(self) -> Float32[ndarray, "height width"]:
        """Where the net looked, in [0, 1], at the picture's size."""
        return resize_map(self.map, self.size)

    def plot(self, picture: Source | None = None) -> Image.Image:
        """A sheet 1200 pixels wide: boxes, heat map, streams, and why the best class and not the next.

        ``picture`` is what was predicted, needed where it had no path. Raises PictureError.
        """
        from wingbar.explain import panel  # draws what this file says: a notebook's shortcut, needed by nothing here

        source = picture if picture is not None else self.path
        if source is None:
            raise PictureError("this prediction has no path: call plot(picture) with the picture that was predicted.")
        read = read_picture(source, short_side=READ_SIDE)
        if self.error is None and read.size != self.size:
            raise PictureError(f"a picture of {read.size}, but {self.size} was predicted: give plot() the same one.")
        return panel(read, self)

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """Plain values: the ``top`` likeliest classes, boxes, and each stream's vote."""
        if self.error is not None:
            return {"path": self.path, "error": self.error}

        def best(scores: dict[str, float]) -> dict[str, float]:
            ranked = sorted(scores.items(), key=lambda item: -item[1])[:top]
            return {label: round(score, 6) for label, score in ranked}

        return {
            "path": self.path,
            "label": self.label,
            "score": round(self.score, 6),
            "scores": best(self.scores),
            "size": list(self.size),
            "object_box": list(self.object_box),
            "parts": [
                {"box": list(part.box), "cluster": part.cluster, "scores": best(part.scores)} for part in self.parts
            ],
            "streams": {name: best(scores) for name, scores in self.streams.items()},
        }


class Recognizer:
    """A trained model. Make one with `wingbar.load` or `wingbar.train`."""

    def __init__(self, card: dict[str, Any], nets: dict[str, MapNet], alignment: Alignment | None) -> None:
        self.card, self.nets, self.alignment = card, nets, alignment
        self.classes: tuple[str, ...] = tuple(card["classes"])
        self.proposals = fill(ProposalSettings(), card["proposals"], "proposals")
        self.part_settings = fill(PartSettings(), card["parts"], "parts")
        self.rule = Rule.parse(card["rule"])
        self.needs_candidates = "parts" in nets or self.rule.grown
        self.hardware = Hardware(Fabric(accelerator="auto", devices=1), workers=0)
        for net in nets.values():
            net.to(self.hardware.device).to(memory_format=torch.channels_last)
            net.eval()

    @property
    def weights(self) -> dict[str, float]:
        """Fusion weight of each stream."""
        return dict(self.card["streams"])

    def predict(self, picture: Source) -> Prediction:
        """Name one picture: a path, the bytes of a file, a Pillow image or an array.

        Raises PictureError when it cannot be read.
        """
        prediction = next(self.predict_many([picture], batch_size=1))
        if prediction.error is not None:
            raise PictureError(prediction.error)
        return prediction

    def predict_many(self, pictures: Iterable[Source], batch_size: int = 16) -> Iterator[Prediction]:
        """Predictions in order, a batch at a time; an unreadable picture yields one with ``error`` set."""
        pictures = iter(pictures)
        while batch := list(islice(pictures, batch_size)):
            read = [_read(source) for source in batch]
            good = [picture for picture in read if isinstance(picture, Picture)]
            paths = [_path(source) for source in batch]
            known = (path for path, picture in zip(paths, read, strict=True) if isinstance(picture, Picture))
            told = iter(self._predict_batch(good, list(known)) if good else ())
            for path, picture in zip(paths, read, strict=True):
                yield next(told) if isinstance(picture, Picture) else Prediction(path, error=picture)

    def _predict_batch(self, pictures: Sequence[Picture], paths: Sequence[str | None]) -> list[Prediction]:
        whole = self._squares(pictures, [None] * len(pictures))
        maps, logits, evidence = look(self.nets["picture"], whole, self.hardware)
        found = maps
        if "locator" in self.nets:
            squares = self._squares(pictures, [None] * len(pictures), self.card["locating_size"])
            found, _, _ = look(self.nets["locator"], squares, self.hardware)
        candidates = [propose(picture, self.proposals) if self.needs_candidates else NO_BOXES for picture in pictures]
        boxes = [
            object_box(object_map, picture.size, self.proposals.side, self.rule, own)
            for object_map, picture, own in zip(found, pictures, candidates, strict=True)
        ]
        streams = {"picture": softmax(logits)}
        parts: list[tuple[Part, ...]] = [()] * len(pictures)
        if "object" in self.nets:
            crops = [crop_boxes([box], p.size, self.card["margin"])[0] for box, p in zip(boxes, pictures, strict=True)]
            streams["object"] = self._judge("object", self._squares(pictures, crops))
        if "parts" in self.nets:
            parts, streams["parts"] = self._parts(pictures, boxes, maps, candidates)
        fused = fuse(np.stack(list(streams.values())), np.array([self.weights[name] for name in streams]))
        return [
            Prediction(
                path, picture.size, self._ranked(fused[i]), boxes[i], parts[i],
                {name: self._named(scores[i]) for name, scores in streams.items()},
                maps[i], found[i], evidence[i],
            )
            for i, (path, picture) in enumerate(zip(paths, pictures, strict=True))
        ]  # fmt: skip

    def _parts(
        self,
        pictures: Sequence[Picture],
        boxes: Sequence[Box],
        maps: Float32[ndarray, "batch h w"],
        candidates: Sequence[Int32[ndarray, "_ 4"]],
    ) -> tuple[list[tuple[Part, ...]], Float32[ndarray, "batch classes"]]:
        settings, side = self.part_settings, self.proposals.side
        found = [
            part_boxes(own, box, saliency_map, picture.size, side, settings)
            for own, picture, box, saliency_map in zip(candidates, pictures, boxes, maps, strict=True)
        ]
        owners = [i for i, own in enumerate(found) for _ in own]
        crops = [crop for own, p in zip(found, pictures, strict=True) for crop in crop_boxes(own, p.size, 0.0)]
        squares = self._squares([pictures[i] for i in owners], crops)
        assert self.alignment is not None  # a model with parts is saved with its alignment
        responses = part_responses(self.nets["picture"], squares, self.alignment.layer, self.hardware)
        cuts = np.cumsum([len(own) for own in found])[:-1]
        clusters = [align(own, self.alignment, settings) for own in np.split(responses, cuts)]
        scores = self._judge("parts", squares, np.concatenate(clusters))
        parts = [
            tuple(
                Part((int(b[0]), int(b[1]), int(b[2]), int(b[3])), int(cluster), self._named(score))
                for b, cluster, score in zip(own, assigned, judged, strict=True)
            )
            for own, assigned, judged in zip(found, clusters, np.split(scores, cuts), strict=True)
        ]
        return parts, np.stack([judged.mean(0) for judged in np.split(scores, cuts)])

    @torch.no_grad()
    def _judge(
        self, stream: str, squares: UInt8[Tensor, "n 3 side side"], clusters: ndarray | None = None
    ) -> Float32[ndarray, "n classes"]:
        net = self.nets[stream]
        logits = net(normalize(squares.to(self.hardware.device), net)).float().cpu()
        heads = np.full(len(squares), -1) if clusters is None else clusters
        return softmax(judge(logits, torch.from_numpy(np.asarray(heads, np.int64)), len(self.classes)).numpy())

    def _squares(
        self, pictures: Sequence[Picture], boxes: Sequence[Box | None], size: int | None = None
    ) -> UInt8[Tensor, "n 3 side side"]:
        size = size or self.card["test_size"]
        return torch.stack([to_tensor(crop_square(p, box, size)) for p, box in zip(pictures, boxes, strict=True)])

    def _named(self, scores: Float32[ndarray, "classes"]) -> dict[str, float]:
        return dict(zip(self.classes, scores.tolist(), strict=True))

    def _ranked(self, scores: ndarray) -> dict[str, float]:
        order = np.argsort(-scores, kind="stable")
        return {self.classes[i]: float(scores[i]) for i in order}


def load(run: Path | str) -> Recognizer:
    """The recogniser of a run folder, or of its ``model`` folder moved elsewhere. Raises RunError.

    Files are safetensors and JSON: loading runs no code. Each file is checked against its checksum.
    """
    folder = Path(run)
    if not (folder / "recognizer.json").is_file():
        folder = folder / "model"
    try:
        card = json.loads((folder / "recognizer.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{run}: no model here (model/recognizer.json); train one with `wingbar train`.") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / 'recognizer.json'}: damaged ({error}); copy it again or train again.") from None
    try:
        check_card(card)
        nets = {name: _net(folder, name, card) for name in NETS if name in card["sha256"]}
        alignment = None
        if "parts" in nets:
            arrays = _arrays(folder, "alignment", card)
            nets["picture"].get_submodule(card["neuron_layer"])
            alignment = Alignment(card["neuron_layer"], arrays["neurons"], arrays["mean"], arrays["deviation"])
        return Recognizer(card, nets, alignment)
    except (KeyError, TypeError, AttributeError, ValueError, ConfigError) as error:
        raise RunError(f"{folder / 'recognizer.json'}: lacks or misstates {error}; train again.") from None


def check_card(card: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError for a card that no training wrote."""
    if card["format"] != 1:
        raise ValueError(f"format {card['format']!r} (another version of wingbar wrote it)")
    classes, streams = card["classes"], card["streams"]
    if not isinstance(classes, list) or len(set(classes)) < 2 or not all(isinstance(name, str) for name in classes):
        raise ValueError("classes")
    if "picture" not in streams or set(streams) != set(card["sha256"]) & {"picture", "object", "parts"}:
        raise ValueError("streams")
    for key in ("test_size", "locating_size"):
        if not 32 <= card[key] <= 4096:
            raise ValueError(key)


def _arrays(folder: Path, name: str, card: dict[str, Any]) -> dict[str, ndarray]:
    path = folder / f"{name}.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}; copy the model folder again.") from None
    if hashlib.sha256(content).hexdigest() != card["sha256"][name]:
        raise RunError(f"{path}: damaged or of another model (checksum); copy the model folder again.")
    try:
        return safetensors.numpy.load(content)
    except SafetensorError as error:
        raise RunError(f"{path}: not a safetensors file ({error}); copy the model folder again.") from None


def _net(folder: Path, name: str, card: dict[str, Any]) -> MapNet:
    state = {key: torch.from_numpy(value) for key, value in _arrays(folder, name, card).items()}
    net = create(card["net"], len(card["classes"]))
    net.head = torch.nn.Linear(net.num_features, len(state["head.bias"]))
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise RunError(f"{folder / name}.safetensors: does not fit {card['net']}: {error}") from None
    return net


def _read(source: Source) -> Picture | str:
    try:
        return read_picture(source, short_side=READ_SIDE)
    except PictureError as error:
        return str(error)


def _path(source: Source) -> str | None:
    return str(source) if isinstance(source, (str, Path)) else None
