"""Preparation of a trained network for inference: batch norms are folded into convs, and convs are packed."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from wingbar._system.memory import out_of_memory
from wingbar.nets.packed import available, pack
from wingbar.nets.tracing import probe, watching

Net = TypeVar("Net", bound=nn.Module)


def for_inference(net: Net, keep: str | None = None) -> Net:
    """A copy in eval mode without gradients, of the same class, with its batch norms folded into its convs.

    The conv named ``keep`` is not folded, because its outputs are used and folding would change them.

    The outputs differ from the net's by at most 1e-5 of their largest value. Where they would differ more, because the
    net uses the output of a conv before its batch norm, the copy is not folded. ``net`` has to be float32; cast the
    copy afterwards. On a CPU the convs are packed (see `wingbar.nets.packed`); channels-last format is the fastest.
    """
    plain = copy.deepcopy(net).eval().requires_grad_(False)
    folded = copy.deepcopy(plain)
    pairs = [(conv, norm) for conv, norm in _pairs(folded) if conv != keep]
    for conv, norm in pairs:
        _fold(folded, conv, norm)
    expected = probe(plain, plain)
    folded = folded if _gives(folded, expected) else plain
    if not available():
        return folded
    packed = copy.deepcopy(folded)
    pack(packed, pairs, keep)
    return packed if _gives(packed, expected) else folded


def _gives(net: nn.Module, expected: Tensor) -> bool:
    try:
        got = probe(net, net)
    except RuntimeError as error:  # of an operator that this machine lacks
        if out_of_memory(error):
            raise
        return False
    return torch.allclose(expected, got, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))


def _pairs(net: nn.Module) -> list[tuple[str, str]]:
    """Names of each conv and of the batch norm that takes its output directly, where both run once."""
    layers = {name: module for name, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)}
    calls: list[tuple[str, Tensor, Tensor]] = []
    with watching(layers, lambda *call: calls.append(call)):
        probe(net, net)
    runs = [name for name, _, _ in calls]
    convs = {id(output): name for name, _, output in calls if isinstance(layers[name], nn.Conv2d)}
    norms = [(name, given) for name, given, _ in calls if isinstance(layers[name], nn.BatchNorm2d)]
    pairs = [(convs[id(given)], name) for name, given in norms if id(given) in convs]
    return [pair for pair in pairs if runs.count(pair[0]) == runs.count(pair[1]) == 1]


def _fold(net: nn.Module, conv_name: str, norm_name: str) -> None:
    conv: Any = net.get_submodule(conv_name)
    norm: Any = net.get_submodule(norm_name)
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    # timm's batch norms carry the activation that follows them.
    net.set_submodule(norm_name, getattr(norm, "act", nn.Identity()))
