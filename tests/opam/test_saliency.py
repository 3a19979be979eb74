"""Class activation maps against Zhou et al.'s definition and against gradients."""

from __future__ import annotations

import pytest
import torch

from wingbar.nets import create
from wingbar.opam.saliency import saliency


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
    pixels = torch.randn(2, 3, 64, 64)
    maps, logits = saliency(net, pixels)
    mirrored, same = saliency(net, pixels.flip(3))
    assert maps.amin() == 0 and maps.amax() == 1
    assert not maps.requires_grad and not logits.requires_grad  # nothing keeps the graph
    torch.testing.assert_close(mirrored.flip(2), maps, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(same, logits, rtol=1e-4, atol=1e-5)


def test_the_map_is_of_the_predicted_class_unless_another_is_asked_for(net) -> None:
    pixels = torch.randn(1, 3, 64, 64)
    maps, logits = saliency(net, pixels)
    torch.testing.assert_close(saliency(net, pixels, logits.argmax(1))[0], maps)
    assert not torch.equal(saliency(net, pixels, logits.argmin(1))[0], maps)


def test_batches_do_not_change_maps(net) -> None:
    pixels = torch.randn(3, 3, 64, 64)
    one_by_one = torch.cat([saliency(net, one[None])[0] for one in pixels])
    torch.testing.assert_close(saliency(net, pixels)[0], one_by_one, rtol=1e-4, atol=1e-5)
