"""Folded nets: the same numbers with fewer layers, and the original untouched."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from wingbar.nets import create, for_inference, inference, neuron_layer, packed, response_map
from wingbar.nets.packed import LAYOUTS, FusedBlock, PackedConv
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


def small(**options: int) -> Res2Net:
    net = stirred(Res2Net((2, 2), width=16, num_classes=3, **options)).eval()
    assert isinstance(net, Res2Net)
    return net


def kinds(net: nn.Module) -> list[type]:
    return [type(module) for module in net.modules() if isinstance(module, PackedConv | FusedBlock)]


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * max(1.0, float(theirs.abs().max())))


needs_packing = pytest.mark.skipif(not packed.available(), reason="this torch has no packed convs")


@needs_packing
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@torch.no_grad()
def test_packed_nets_give_the_same_for_every_shape(scale: int, layout: torch.memory_format) -> None:
    net = small(scale=scale)
    quick = for_inference(net).to(memory_format=layout)
    assert kinds(quick).count(FusedBlock) == 4
    shapes = [(1, 3, 64, 64), (3, 3, 33, 65), (2, 3, 64, 64), (1, 3, 96, 64), (5, 3, 32, 32)]
    for shape in [*shapes, *shapes[::-1], *shapes[:2], *shapes[:2]]:
        x = torch.randn(shape).to(memory_format=layout)
        before = x.clone()
        close(quick(x), net(x))
        assert torch.equal(x, before)
    assert quick(x[:0]).shape == (0, 3)
    assert {len(one.packed) for one in quick.modules() if isinstance(one, PackedConv)} == {LAYOUTS}


@needs_packing
@pytest.mark.parametrize("last", [nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU])
@torch.no_grad()
def test_convs_do_the_activation_that_follows(last: type[nn.Module]) -> None:
    class Block(nn.Sequential):
        any_size = True

    norm = BatchNormAct2d(8, act_layer=last)
    net = stirred(Block(nn.Conv2d(3, 8, 3), norm, nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8))).eval()
    quick = for_inference(net)
    assert isinstance(quick[0], PackedConv) and type(quick[1]) is (last if last is nn.GELU else nn.Identity)
    x = 9 * torch.randn(2, 3, 16, 16)
    close(quick(x), net(x))
    close(quick.double()(x.double()).float(), net(x))


@pytest.mark.parametrize("broken", ["absent", "failing", "wrong"])
@torch.no_grad()
def test_without_packed_convs_the_net_is_folded_all_the_same(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(conv: PackedConv, x: Tensor, addend: Tensor | None = None) -> Tensor:
        raise RuntimeError("unknown operator")

    if broken == "absent":
        monkeypatch.setattr(inference, "available", lambda: False)
    elif broken == "failing":
        monkeypatch.setattr(PackedConv, "forward", fail)
    else:
        monkeypatch.setattr(FusedBlock, "forward", lambda block, x: x)
    net = small()
    folded = for_inference(net)
    assert norms(folded) == 0 and not kinds(folded)
    x = torch.randn(1, 3, 64, 64)
    close(folded(x), net(x))


@needs_packing
def test_a_packed_net_gives_way_where_gradients_are_asked_for() -> None:
    net = small()
    quick = for_inference(net)
    ours, theirs = (torch.ones(1, 3, 64, 64, requires_grad=True) for _ in range(2))
    quick(ours)[0, 1].backward()
    net(theirs)[0, 1].backward()
    assert ours.grad is not None and theirs.grad is not None
    close(ours.grad, theirs.grad)


@needs_packing
@torch.no_grad()
def test_laid_out_weights_follow_the_parameters() -> None:
    net, x = small(), torch.randn(1, 3, 64, 64)
    quick = for_inference(net)
    quick(x)
    other = for_inference(stirred(Res2Net((2, 2), width=16, num_classes=3)))
    other(x)
    other.load_state_dict(copy.deepcopy(quick).state_dict())
    close(other(x), quick(x))
    half = copy.deepcopy(quick).bfloat16()
    assert half(x.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(half(x.bfloat16()).float(), quick(x), rtol=0.05, atol=0.05)
    close(half.float().to(torch.float64)(x.double()).float(), half.float()(x))


@needs_packing
@torch.no_grad()
def test_a_layer_that_is_kept_gives_what_it_gave() -> None:
    net = stirred(create("res2net_nano", 3)).eval()
    name, _ = neuron_layer(net)
    quick, x = for_inference(net, keep=name), torch.randn(2, 3, 64, 64)
    close(response_map(quick, name, x)[1], response_map(net, name, x)[1])
    assert norms(quick) == 1
    close(quick(x), net(x))


@needs_packing
@torch.no_grad()
def test_packed_nets_can_be_exported() -> None:
    quick, x = for_inference(small()), torch.randn(1, 3, 64, 64)
    graph = torch.export.export(quick, (x,)).module()
    close(graph(x), quick(x))
    assert "mkldnn" not in str(graph.graph)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")  # by torch 2.11 alone
@needs_packing
@pytest.mark.filterwarnings("ignore:.*jit.trace:FutureWarning")
@torch.no_grad()
def test_packed_convs_can_be_traced() -> None:
    quick, x = for_inference(stirred(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))), torch.randn(1, 3, 8, 8)
    assert kinds(quick) == [PackedConv]
    graph = torch.jit.trace(quick, x)
    close(graph(x), quick(x))
    assert "mkldnn" not in str(graph.inlined_graph)
