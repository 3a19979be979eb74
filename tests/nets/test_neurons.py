"""The penultimate dense layer of every kind of net, and its responses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wingbar.errors import ConfigError
from wingbar.nets import MapNet, create, neuron_layer, response_map


@pytest.mark.parametrize(
    ("name", "layer", "neurons"),
    [
        ("mobilenetv2_100", "blocks.6.0.conv_pwl", 320),
        ("vgg19_bn_cam", "features.49", 512),
        ("resnet18", "layer4.1.conv1", 512),
        ("res2net50_26w_4s", "layer4.2.convs.2", 208),
        ("regnety_002", "s4.b7.conv1.conv", 368),  # not the squeeze-and-excitation between conv2 and conv3
        ("vit_tiny_patch16_224", "blocks.11.mlp.fc1", 768),
        ("convnext_atto", "stages.3.blocks.1.mlp.fc1", 1280),
    ],
)
def test_which_layer_it_is(name: str, layer: str, neurons: int) -> None:
    with torch.device("meta"):
        net = create(name, 3)
    result, module = neuron_layer(net)
    assert result == f"backbone.{layer}"
    assert module is net.get_submodule(result)
    assert len(module.weight) == neurons
    assert net.training


def test_responses_are_the_layers_output_in_the_pass_that_gives_the_map() -> None:
    net = create("res2net_nano", 3).eval()
    x = torch.randn(3, 3, 96, 64)
    name, conv = neuron_layer(net)
    kept: list[torch.Tensor] = []
    handle = conv.register_forward_hook(lambda *call: kept.append(call[-1].detach()))
    net(x)
    handle.remove()
    features, responses = response_map(net, name, x)
    torch.testing.assert_close(responses, kept[0])
    torch.testing.assert_close(features, net.forward_features(x))
    assert not conv._forward_hooks


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_responses_of_a_transformer_are_a_map_of_each_picture(name: str) -> None:
    net = create(name, 3).eval()
    x = torch.randn(2, 3, 224, 160)
    layer, module = neuron_layer(net)
    features, both = response_map(net, layer, x)
    assert both.shape == (2, len(module.weight), *features.shape[2:])
    torch.testing.assert_close(both[1:], response_map(net, layer, x[1:])[1], rtol=1e-4, atol=1e-5)


def test_the_hook_goes_even_when_the_net_fails() -> None:
    net = create("res2net_nano", 3)
    name, conv = neuron_layer(net)
    net.backbone.layer3 = nn.Sequential(net.backbone.layer3[0], nn.Linear(1, 1))
    with pytest.raises(RuntimeError):
        response_map(net, name, torch.randn(1, 3, 64, 64))
    assert not conv._forward_hooks


class OneConv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def test_a_net_with_one_layer_has_no_penultimate_one() -> None:
    with pytest.raises(ConfigError, match="no two dense layers"):
        neuron_layer(MapNet("one", OneConv(), 4, 2))
