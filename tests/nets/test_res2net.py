"""Res2Net against timm's nets of the same name: same state dict in, same numbers out."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models.res2net import Bottle2neck as TimmBlock
from timm.models.resnet import ResNet
from torch import nn

from wingbar.nets import res2net

NAMES = [
    "res2net50_26w_4s",
    "res2net50_48w_2s",
    "res2net50_14w_8s",
    "res2net50_26w_6s",
    "res2net50_26w_8s",
    "res2net101_26w_4s",
]
MILLIONS = {"res2net50": 25.70, **dict(zip(NAMES, (25.70, 25.29, 25.06, 37.05, 48.40, 45.21), strict=True))}


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """To 1e-5 of the largest value."""
    scale = max(1.0, float(theirs.detach().abs().max()))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * scale)


def same_state(ours: nn.Module, theirs: nn.Module) -> None:
    """Both get timm's weights, with batch norms that are not trivial; the keys must be the same, in order."""
    generator = torch.Generator().manual_seed(1)
    state = theirs.state_dict()
    for key, value in state.items():
        if key.endswith("running_mean") or (value.ndim == 1 and key.endswith("bias")):
            value.copy_(0.1 * torch.randn(value.shape, generator=generator))
        elif key.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape, generator=generator))
        elif key.endswith("bn3.weight"):
            value.fill_(0.3)  # keeps the sums of deep nets small
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict(state, strict=True)


def check_equal(ours: nn.Module, theirs: nn.Module) -> None:
    same_state(ours, theirs)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    ours.eval()
    theirs.eval()
    with torch.no_grad():  # the path with in-place additions
        expected = theirs.forward_features(x)
        close(ours.forward_features(x), expected)
        close(ours(x), theirs.forward_head(expected))

    ours.train()
    theirs.train()
    out, expected = ours(x), theirs(x)
    close(out, expected)
    out.square().mean().backward()
    expected.square().mean().backward()
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert p.grad is not None, key
        close(p.grad / q.grad.abs().max().clamp(min=1), q.grad / q.grad.abs().max().clamp(min=1))
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        close(mine.float(), other.float())


@pytest.mark.parametrize("name", ["res2net50_26w_4s", "res2net50_14w_8s"])
def test_equals_timm_in_eval_and_in_train_mode(name: str) -> None:
    """The common net and the one with the most scales; the others differ in widths and depth alone."""
    check_equal(getattr(res2net, name)(num_classes=10), timm.create_model(name, num_classes=10))


@pytest.mark.parametrize("name", NAMES)
def test_weights_have_timms_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        ours, theirs = getattr(res2net, name)(num_classes=10), timm.create_model(name, num_classes=10)
    shapes = [[(key, value.shape) for key, value in net.state_dict().items()] for net in (ours, theirs)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_small_nets_of_any_scale_equal_timms(scale: int) -> None:
    theirs = ResNet(TimmBlock, (1, 2, 1, 1), base_width=64, block_args={"scale": scale}, num_classes=5)
    ours = res2net.Res2Net((1, 2, 1, 1), base_width=64, scale=scale, num_classes=5)
    check_equal(ours, theirs)


@pytest.mark.parametrize("name", MILLIONS)
def test_number_of_parameters_is_the_published_one(name: str) -> None:
    with torch.device("meta"):
        net = getattr(res2net, name)()
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(MILLIONS[name], abs=0.005)


def test_scale_1_is_one_conv_and_nothing_passed_through() -> None:
    block = res2net.Bottle2neck(64, 16, base_width=64, scale=1)
    assert len(block.convs) == 1
    assert block(torch.randn(1, 64, 7, 5)).shape == (1, 64, 7, 5)


def test_the_picture_is_not_changed_and_grad_mode_does_not_change_the_result() -> None:
    net = res2net.Res2Net((2, 2), width=16, num_classes=3).eval()
    x = torch.randn(1, 3, 48, 32)
    before = x.clone()
    with torch.no_grad():
        quick = net(x)
    torch.testing.assert_close(quick, net(x))
    torch.testing.assert_close(x, before, rtol=0, atol=0)


def test_block_that_changes_the_shape_must_be_the_first() -> None:
    with pytest.raises(ValueError, match="first of its stage"):
        res2net.Bottle2neck(64, 64, stride=2)
