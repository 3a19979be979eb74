"""Every family of backbones passes the whole method on drawn birds: training, maps, boxes, parts, prediction, export.

`make test` takes the smallest members there are: of three families that differ in kind the whole method, of the others
their maps, neurons and export. `make torture-backbones` takes all that `wingbar backbones` lists through all of it.
Oracles: the export is the same model without torch; a map's mean is the logit, whatever the net.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import wingbar
from wingbar.config import Config
from wingbar.data.synthetic import write_dataset
from wingbar.errors import ConfigError
from wingbar.model.export import TOLERANCE, answers, compare, export, probes, to_onnx
from wingbar.model.folder import read_model
from wingbar.model.runtime import PictureOutput
from wingbar.model.torch_runtime import boxes_of, nets_of
from wingbar.nets import MapNet, create, for_inference, neuron_layer
from wingbar.nets.backbones import BACKBONES, all_facts
from wingbar.nets.outputs import PictureNet
from wingbar.opam.filtering import FilterSettings
from wingbar.opam.localization import LocalizationSettings
from wingbar.prediction import Prediction

SMALLEST = {
    "Res2Net": "res2net_nano",
    "ResNet": "test_resnet",
    "MobileNetV2": "mobilenetv2_035",
    "EfficientNet": "test_efficientnet",
    "ConvNeXt": "test_convnext",
    "ViT": "test_vit",
    "ViT with registers": "test_vit2",
}
"""timm's nets for tests are their families' own code, narrow and shallow. There are none of the other families."""
IN_FULL = ("Res2Net", "MobileNetV2", "ViT")
"""Families that pass the whole method: our own, the default net's, and one whose map is made of tokens."""
PROBED = {family: net for family, net in SMALLEST.items() if family not in IN_FULL}
LISTED = [name for names in BACKBONES.values() for name in names if name not in SMALLEST.values()]
SIZE = 64


@pytest.fixture(scope="module")
def few_birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("few") / "birds", classes=2, train=3, test=2, size=(96, 72))


def passes(net: str, birds: Path, run: Path) -> list[Prediction]:
    """Train a run of ``net``, and see that its answers to two pictures are whole."""
    config = Config(
        method="opam", net=net, weights="none", size=SIZE, epochs=1, follow_epochs=1, batch_size=4, workers=0,
        validation=0.34,
        filtering=FilterSettings(threshold=0.0, cap=2),
        localization=LocalizationSettings(rules=("principal otsu",), locating_size=SIZE),
    )  # fmt: skip
    recognizer = wingbar.train(birds, run, config, quiet=True)
    said = list(recognizer.predict_many(pictures_of(birds)))
    heads = nets_of(read_model(run))["picture"].head
    for one in said:
        x1, y1, x2, y2 = one.object_box
        assert 0 <= x1 < x2 <= one.size[0] and 0 <= y1 < y2 <= one.size[1]
        assert len(one.parts) == 2 and set(one.streams) == {"picture", "object", "parts"}
        assert one.saliency.shape == one.size[::-1] and np.ptp(one.saliency_map) > 0
        logits = one.evidence.mean((1, 2)) + heads.bias.detach().numpy()
        expected = torch.softmax(torch.from_numpy(logits), 0).tolist()
        assert [one.streams["picture"][name] for name in recognizer.classes] == pytest.approx(expected, abs=1e-5)
    assert recognizer.alignment is not None and len(set(recognizer.alignment.neurons.tolist())) == 2
    return said


def pictures_of(birds: Path) -> list[Path]:
    return sorted((birds / "images").rglob("*.jpg"))[:2]


def exported_alike(net: PictureNet) -> dict[str, torch.Tensor]:
    """What the net says of the probes, which its export says too."""
    with torch.no_grad():
        expected = dict(zip(PictureOutput._fields, net(probes(SIZE)), strict=True))
    exported = answers(to_onnx(net, "picture", PictureOutput._fields, SIZE, {}), probes(SIZE))
    assert max(compare(expected, exported).values()) <= TOLERANCE
    return expected


@pytest.mark.parametrize("family", IN_FULL)
def test_the_smallest_of_three_families_passes_the_whole_method(family: str, few_birds: Path, tmp_path: Path) -> None:
    passes(SMALLEST[family], few_birds, tmp_path)
    model = read_model(tmp_path)
    exported_alike(PictureNet(nets_of(model)["picture"], boxes_of(model), model.card.neuron_layer).eval())


@pytest.mark.parametrize("name", PROBED.values(), ids=PROBED)
def test_the_smallest_of_the_other_families_has_maps_and_neurons_and_is_exported(name: str) -> None:
    torch.manual_seed(0)
    net = create(name, 3).eval()
    layer, module = neuron_layer(net)
    outputs = exported_alike(PictureNet(for_inference(net, keep=layer), None, layer).eval())
    evidence, logits = outputs["evidence"], outputs["logits"]
    torch.testing.assert_close(logits, evidence.mean((2, 3)) + net.head.bias)
    assert outputs["neurons"].shape[1] == len(module.weight) and evidence.flatten(1).std(1).min() > 0  # type: ignore[arg-type]


@pytest.mark.skipif("WINGBAR_TORTURE" not in os.environ, reason="minutes: make torture-backbones")
@pytest.mark.parametrize("net", LISTED)
def test_every_listed_backbone_passes_the_whole_method(net: str, few_birds: Path, tmp_path: Path) -> None:
    said = passes(net, few_birds, tmp_path / "run")
    export(tmp_path / "run", tmp_path / "onnx")  # raises where answers differ by more than `TOLERANCE`
    exported = wingbar.load(tmp_path / "onnx", runtime="onnx").predict_many(pictures_of(few_birds))
    for one, other in zip(said, exported, strict=True):
        assert (one.label, one.object_box) == (other.label, other.object_box)
        assert [part.box for part in one.parts] == [part.box for part in other.parts]


def test_facts_are_the_networks_own() -> None:
    result = {one.name: one for one in all_facts()}
    assert list(result) == [name for names in BACKBONES.values() for name in names]
    for name in ("res2net_nano", "resnet18", "vit_tiny_patch16_224"):
        net = create(name, 3).eval()
        with torch.no_grad():
            fmap = net.forward_features(torch.zeros(1, 3, 224, 224))
        assert result[name].stride == 224 // fmap.shape[2]
        assert result[name].parameters == sum(value.numel() for value in net.backbone.parameters())
    licences = {name: one.licence for name, one in result.items()}
    assert licences["res2net_nano"] == "-" and licences["resnet18"] == "apache-2.0"
    assert licences["vgg19_bn_cam"] == "bsd-3-clause"  # of the weights it starts from
    assert (result["res2net50_26w_4s"].stride, result["vgg19_bn_cam"].stride) == (32, 16)


def test_patches_of_any_size_are_fitted() -> None:
    net = create("test_vit2", 2).eval()
    patch = net.backbone.patch_embed.patch_size[0]
    x = torch.rand(1, 3, 5 * patch + 3, 4 * patch - 3)
    with torch.no_grad():
        assert net.forward_features(x).shape[2:] == (5, 4)
        whole = torch.nn.functional.interpolate(x, (5 * patch, 4 * patch), mode="bilinear")
        torch.testing.assert_close(net.forward_features(x), net.forward_features(whole))


class Odd(torch.nn.Module):
    """A backbone whose map has three channels."""

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_net_without_a_map_is_refused_with_the_remedy() -> None:
    remedy = "Choose another --net: `wingbar backbones`"
    with pytest.raises(ConfigError, match=f"crossvit_tiny_240.*gives no feature map. {remedy}"):
        create("crossvit_tiny_240", 2).eval()(torch.zeros(1, 3, 240, 240))
    with pytest.raises(ConfigError, match=f"odd.*: 3 channels where its classifier takes 7. {remedy}"):
        MapNet("odd", Odd(), 7, 2)(torch.zeros(1, 3, 64, 64))
