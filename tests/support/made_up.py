"""Models without training: one whose nets are made up, without torch, and one of real nets that have learnt nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy import ndarray
from safetensors.numpy import save

from wingbar.model.card import Card, Pretrained, TrainedOn
from wingbar.model.folder import read_model
from wingbar.model.runtime import PictureOutput, ViewOutput
from wingbar.opam.alignment import AlignmentSettings
from wingbar.opam.localization import Rule
from wingbar.opam.proposals import ProposalSettings
from wingbar.opam.taxonomy import Lineages
from wingbar.recognizer import Recognizer

SIDE, NEURONS, CLUSTERS = 32, 6, 2


class MadeUp:
    """Answers that follow the pictures' brightness and nothing else."""

    def __init__(self, classes: int) -> None:
        self.weights = np.linspace(-1, 1, classes, dtype=np.float32)

    def picture(self, squares: ndarray) -> PictureOutput:
        count = len(squares)
        cells = squares.reshape(count, 3, 4, SIDE // 4, 4, SIDE // 4).mean((1, 3, 5), dtype=np.float32) / 255
        evidence = (cells[:, None] - 0.5) * self.weights[:, None, None]
        corners = np.tile(np.float32([0.2, 0.2, 0.8, 0.8]), (count, 1)) * (0.5 + cells.mean((1, 2)))[:, None]
        features = cells.reshape(count, -1)
        return PictureOutput(evidence, evidence.mean((2, 3)), corners, features, np.repeat(cells[:, None], NEURONS, 1))

    def views(self, squares: ndarray) -> ViewOutput:
        raise NotImplementedError("it is a model with a net for each stream")

    def crops(self, stream: str, squares: ndarray) -> ndarray:
        return (squares.mean((1, 2, 3), dtype=np.float32)[:, None] / 255 - 0.5) * self.weights


def card(classes: tuple[str, ...], sha256: dict[str, str]) -> Card:
    """The card of a model with every stream."""
    return Card(
        method="opam", net="res2net_nano", classes=classes,
        fusion_weights={"picture": 0.4, "object": 0.3, "parts": 0.3}, eval_size=SIDE, picture_size=SIDE,
        rule=Rule.parse("cam otsu"), margin=0.05, pretrained=Pretrained("none"), data=TrainedOn("none", ""),
        sha256=sha256, lineages=Lineages(("class",), tuple((name,) for name in classes), (), ()),
        proposals=ProposalSettings(limit=100), alignment=AlignmentSettings(clusters=CLUSTERS),
        neuron_layer="backbone.layer3.0.conv3",
    )  # fmt: skip


def made_up(folder: Path, classes: tuple[str, ...] = ("wren", "robin", "owl")) -> Recognizer:
    """A recogniser around the made-up nets; its card and its clusters lie in ``folder``."""
    alignment = save({
        "neurons": np.arange(NEURONS) % CLUSTERS,
        "mean": np.full(CLUSTERS, 0.5), "deviation": np.ones(CLUSTERS),
    })  # fmt: skip
    checksums = dict.fromkeys(("picture", "object", "parts", "locator"), "0" * 64)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "alignment.safetensors").write_bytes(alignment)
    card(classes, {**checksums, "alignment": hashlib.sha256(alignment).hexdigest()}).write(folder)
    return Recognizer(read_model(folder), MadeUp(len(classes)))


def untrained(
    folder: Path, method: str = "opam", net: str = "res2net_nano", classes: tuple[str, ...] = ("wren", "robin", "owl"),
    side: int = 64, layer: str = "backbone.layer3.0.conv3", settings: dict[str, object] | None = None,
) -> Path:  # fmt: skip
    """A model folder of real nets with their first weights, as a training of the ``method`` leaves it."""
    import torch

    from wingbar.model.save import checksums, save_model, serialized
    from wingbar.nets import create

    streams = ("picture", "object", "parts") if method == "opam" else ("picture",)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = {name: create(net, len(classes)).eval() for name in streams}
    arrays = {name: {key: one.numpy() for key, one in net.state_dict().items()} for name, net in nets.items()}
    value = card(classes, dict.fromkeys(("picture", "object", "parts"), "0" * 64))
    if method == "opam":
        with torch.no_grad():
            _, channels, *cells = nets["picture"].forward_features(torch.zeros(1, 3, side, side)).shape
        neurons = np.arange(next(nets["picture"].get_submodule(layer).parameters()).shape[0])
        arrays["locator"] = {
            "weight": np.zeros((4, channels, *cells), np.float32), "bias": np.float32([0.2, 0.2, 0.8, 0.8])
        }  # fmt: skip
        arrays["alignment"] = {
            "neurons": neurons % CLUSTERS, "mean": np.zeros(CLUSTERS), "deviation": np.ones(CLUSTERS),
        }  # fmt: skip
    contents = serialized(arrays)
    weights = {"picture": 0.4, "object": 0.3, "parts": 0.3} if method == "opam" else {"picture": 1.0}
    value = replace(
        value, method=method, net=net, fusion_weights=weights, eval_size=side, picture_size=side,
        sha256=checksums(contents),
        neuron_layer=layer if method == "opam" else None, settings=settings or {},
    )  # fmt: skip
    save_model(folder, value, contents)
    return folder
