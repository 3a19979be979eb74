"""The map halfway: found in nets of many families, twice as fine as the last, and what the layer itself gives."""

from __future__ import annotations

from threading import Thread

import pytest
import torch

from wingbar.nets import create
from wingbar.nets.middle import both_maps, middle_layer
from wingbar.nets.tracing import watching


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("mobilenetv2_100", "backbone.blocks.4"),
        ("tf_efficientnet_lite0", "backbone.blocks.4"),
        ("resnet18", "backbone.layer3"),
        ("convnext_atto", "backbone.stages.2"),
        ("swin_tiny_patch4_window7_224", "backbone.layers.2"),
        ("res2net_nano", "backbone.layer2"),
    ],
)
def test_the_last_stage_before_the_last_halving_is_found(name: str, layer: str) -> None:
    net = create(name, 2).eval()
    assert middle_layer(net) == layer
    side = 96 if net.any_size else net.input_size[0]
    pixels = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        last, middle = both_maps(net, layer, pixels)
        torch.testing.assert_close(last, net.forward_features(pixels))
    assert middle.shape[2:] == tuple(2 * rows for rows in last.shape[2:])


def test_a_net_without_one_has_its_last_map_stand_in() -> None:
    net = create("vit_tiny_patch16_224", 2).eval()
    assert middle_layer(net) is None
    with torch.no_grad():
        last, middle = both_maps(net, None, torch.rand(1, 3, 64, 64))
    assert last is middle


def test_threads_that_share_a_net_see_their_own_maps_alone() -> None:
    """Else a prediction would be made of another picture's maps."""
    net = create("res2net_nano", 2).eval()
    layer = str(middle_layer(net))
    seen: list[int] = []
    with watching({layer: net.get_submodule(layer)}, lambda _, __, output: seen.append(len(output))):
        other = Thread(target=net.forward_features, args=(torch.rand(3, 3, 64, 64),))
        other.start()
        other.join()
        net.forward_features(torch.rand(1, 3, 64, 64))
    assert seen == [1]
