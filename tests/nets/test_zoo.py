"""One door to every network: a map, then its mean, then one linear layer."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models import get_pretrained_cfg

from wingbar.errors import ConfigError
from wingbar.nets import MapNet, create
from wingbar.nets.saliency_head import token_grid

# name, picture height and width, map height and width, channels
FAMILIES = [
    ("resnet18", (96, 64), (3, 2), 512),
    ("mobilenetv2_100", (96, 64), (3, 2), 1280),
    ("mobilenetv3_small_050", (96, 64), (3, 2), 288),
    ("densenet121", (96, 64), (3, 2), 1024),
    ("efficientnet_b0", (96, 64), (3, 2), 1280),
    ("convnext_atto", (96, 64), (3, 2), 320),
    ("inception_next_atto", (96, 64), (3, 2), 320),  # refuses to be built without pooling
    ("swin_tiny_patch4_window7_224", (224, 160), (7, 5), 768),  # NHWC
    ("mambaout_femto", (96, 64), (3, 2), 288),  # NHWC
    ("vit_tiny_patch16_224", (96, 64), (6, 4), 192),
    ("deit_tiny_distilled_patch16_224", (96, 64), (6, 4), 192),  # two prefix tokens
    ("xcit_nano_12_p16_224", (96, 64), (6, 4), 128),
    ("cait_xxs24_224", (224, 224), (14, 14), 192),  # one size only
    ("res2net_nano", (96, 64), (6, 4), 256),
    ("vgg19_bn_cam", (96, 64), (6, 4), 1024),
]


@pytest.mark.parametrize(("name", "size", "grid", "channels"), FAMILIES, ids=[f[0] for f in FAMILIES])
def test_every_family_gives_a_map_whose_mean_is_classified(
    name: str, size: tuple[int, int], grid: tuple[int, int], channels: int
) -> None:
    net = create(name, 5).eval()
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        fmap = net.forward_features(x)
        logits = net(x)
    assert fmap.shape == (2, channels, *grid)
    assert net.num_features == channels
    assert net.head.weight.shape == (5, channels)
    torch.testing.assert_close(logits, net.head(fmap.mean((2, 3))), rtol=1e-5, atol=1e-5)
    cam = torch.einsum("kc,bchw->bkhw", net.head.weight, fmap)
    torch.testing.assert_close(cam.mean((2, 3)) + net.head.bias, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_patches_stand_where_timm_says_they_stand(name: str) -> None:
    net = create(name, 2).eval()
    theirs = timm.create_model(name, num_classes=0, dynamic_img_size=True).eval()
    theirs.load_state_dict(net.backbone.state_dict())
    x = torch.randn(1, 3, 224, 160)
    with torch.no_grad():
        [expected] = theirs.forward_intermediates(x, indices=1, norm=True, intermediates_only=True)
        torch.testing.assert_close(net.forward_features(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", range(1, 12))
@pytest.mark.parametrize("columns", range(1, 12))
def test_token_grid_is_exact_for_pictures_of_whole_patches(rows: int, columns: int) -> None:
    assert token_grid(rows * columns, rows * 16, columns * 16) == (rows, columns)


def test_normalisation_and_size_are_the_pretrained_ones() -> None:
    config = get_pretrained_cfg("vit_tiny_patch16_224")
    net = create("vit_tiny_patch16_224", 2)
    assert (net.mean, net.std, net.input_size) == (config.mean, config.std, config.input_size[1:])
    assert net.mean == (0.5, 0.5, 0.5)
    assert create("res2net_nano", 2).mean == (0.485, 0.456, 0.406)


def test_res2net_is_our_own_without_its_classifier() -> None:
    with torch.device("meta"):
        net = create("res2net50_26w_4s", 3)
    assert type(net.backbone).__module__ == "wingbar.nets.res2net"
    assert not any(key.startswith("fc") for key in net.backbone.state_dict())


def test_dropout_acts_on_the_pooled_features_in_training_only() -> None:
    net = create("res2net_nano", 3, dropout=0.5)
    fmap = torch.ones(1, 256, 2, 2)
    assert not torch.equal(net.forward_head(fmap), net.forward_head(fmap))
    net.eval()
    assert torch.equal(net.forward_head(fmap), net.forward_head(fmap))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mobilnetv2_100", "Did you mean 'mobilenetv2_100'"),
        ("res2net_nan", "Did you mean 'res2net_nano'"),
        ("resnet18.none_such", "cannot be built: Invalid pretrained tag"),
        ("hf-hub:someone/something", "Unknown network"),
        ("", "Unknown network"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create(name, 3)


def test_no_classes() -> None:
    with pytest.raises(ConfigError, match="at least one class"):
        create("res2net_nano", 0)


@pytest.mark.parametrize(("name", "size"), [("pit_ti_224", 224), ("crossvit_tiny_240", 240)])
def test_networks_without_a_map_say_so(name: str, size: int) -> None:
    with pytest.raises(ConfigError, match=r"gives no .*map\. Choose another"):
        create(name, 3).eval()(torch.zeros(1, 3, size, size))


def test_all_of_it_is_trained() -> None:
    net: MapNet = create("res2net_nano", 3)
    net(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
