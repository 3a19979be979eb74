"""Folded nets: the same numbers with fewer layers, and the original untouched."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from wingbar.nets import create, for_inference
from wingbar.nets.res2net import Res2Net


def stirred(net: nn.Module) -> nn.Module:
    """Batch norms as after training: none of their numbers is 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.data.copy_(0.3 + 0.4 * torch.rand(tensor.shape, generator=generator))
    return net


def norms(net: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("res2net50_26w_4s", 0),
        ("res2net50_14w_8s", 0),
        ("res2net_nano", 0),
        ("mobilenetv2_100", 0),
        ("vgg19_bn_cam", 0),
        ("densenet121", 62),  # norms of concatenations stand before their convs
        ("vit_tiny_patch16_224", 0),
    ],
)
@torch.no_grad()
def test_outputs_are_equal_and_norms_are_gone(name: str, left: int) -> None:
    net = stirred(create(name, 5)).eval()
    folded = for_inference(net)
    x = torch.randn(2, 3, 96, 64)
    expected, fmap = net(x), folded.forward_features(x)
    close = {"rtol": 0.0, "atol": 1e-5 * max(1.0, float(expected.abs().max()))}
    torch.testing.assert_close(folded(x), expected, **close)
    torch.testing.assert_close(folded.forward_head(fmap), folded(x), **close)
    assert type(folded) is type(net)
    assert norms(folded) == left
    assert torch.equal(folded.head.weight, net.head.weight)


def test_the_net_itself_stays_as_it_was() -> None:
    net = create("res2net_nano", 3).train()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    folded = for_inference(net)
    assert net.training and all(module.training for module in net.modules())
    assert not folded.training
    assert not any(p.requires_grad for p in folded.parameters())
    assert all(p.requires_grad for p in net.parameters())
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in state.items())
    assert not any(module._forward_hooks for module in [*net.modules(), *folded.modules()])


def test_a_plain_classifier_folds_too() -> None:
    net = Res2Net((1, 1), width=16, num_classes=3)
    assert norms(for_inference(net)) == 0


class Peeking(nn.Module):
    """Uses a conv's output beside the batch norm after it, so folding would be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class Twice(Peeking):
    """Runs the same conv twice, once without the norm."""

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) + self.conv(x).relu()


@pytest.mark.parametrize("kind", [Peeking, Twice])
def test_a_net_that_cannot_fold_stays_right(kind: type[nn.Module]) -> None:
    net = stirred(kind()).eval()
    plain = for_inference(net)
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(plain(x), net(x))
    assert norms(plain) == 1
