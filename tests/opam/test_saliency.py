"""Class activation maps against Zhou et al.'s definition and against gradients."""

from __future__ import annotations

import pytest
import torch

from wingbar.nets import create
from wingbar.nets.outputs import PictureNet
from wingbar.opam.saliency import saliency_maps


@torch.no_grad()
def saliency(net: torch.nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps and logits, as a prediction has them."""
    evidence, logits, *_ = PictureNet(net)(pixels)
    return torch.from_numpy(saliency_maps(evidence.numpy(), logits.numpy())), logits


def noise(count: int) -> torch.Tensor:
    """Random pictures."""
    return torch.randint(0, 256, (count, 3, 64, 64), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return create("resnet18", 4).eval()


def test_map_is_the_gradient_of_the_logit(net) -> None:
    """With a pooled linear head dlogit_c/df_u = w_u^c / places, so Grad-CAM without ReLU is the same map."""
    pixels = torch.randn(2, 3, 64, 96)
    features = net.forward_features(pixels)
    maps = net.forward_evidence(features)[[0, 1], [1, 3]]
    leaf = features.detach().requires_grad_()
    logits = net.forward_head(leaf)
    (logits[0, 1] + logits[1, 3]).backward()
    places = features.shape[2] * features.shape[3]
    torch.testing.assert_close(maps, (leaf.grad * places * leaf).sum(1), rtol=1e-4, atol=1e-5)


def test_mean_of_the_map_is_the_logit_without_bias(net) -> None:
    features = net.forward_features(torch.randn(3, 3, 64, 64))
    maps = net.forward_evidence(features)
    expected = net.forward_head(features) - net.head.bias
    torch.testing.assert_close(maps.mean((2, 3)), expected, rtol=1e-4, atol=1e-5)


def test_maps_are_in_the_unit_interval_and_mirror_with_the_picture(net) -> None:
    pixels = noise(2)
    maps, logits = saliency(net, pixels)
    mirrored, same = saliency(net, pixels.flip(3))
    assert (maps.amin((1, 2)) == 0).all() and (maps.amax((1, 2)) == 1).all()
    torch.testing.assert_close(mirrored.flip(2), maps, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(same, logits, rtol=1e-4, atol=1e-5)


def test_the_map_is_of_the_predicted_class(net) -> None:
    with torch.no_grad():
        evidence, logits, *_ = PictureNet(net)(noise(3))
    best = evidence[torch.arange(3), logits.argmax(1)]
    low, high = best.amin((1, 2), keepdim=True), best.amax((1, 2), keepdim=True)
    expected = (best - low) / (high - low)
    torch.testing.assert_close(torch.from_numpy(saliency_maps(evidence.numpy(), logits.numpy())), expected)


def test_batches_do_not_change_maps(net) -> None:
    pixels = noise(3)
    one_by_one = torch.cat([saliency(net, one[None])[0] for one in pixels])
    torch.testing.assert_close(saliency(net, pixels)[0], one_by_one, rtol=1e-4, atol=1e-5)
