"""Convs on a CPU by oneDNN, whose weights are reordered once for a shape of input, with fused activation and addition.

torch reorders the weights of a conv at every call, and on one thread it does not use oneDNN for 1x1 convs of small
batches. The operator of torch's compiler avoids both, but it is not public. `available` tells whether this torch has
it. Where it cannot be used (in training, on a GPU, while tracing, for other types) the ordinary conv runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from wingbar.nets.res2net import Bottle2neck

ACTIVATIONS: dict[type[nn.Module], tuple[str, list[float]]] = {
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Hardswish: ("hardswish", []),
}
"""The activations that oneDNN can fuse into a conv, with its names and parameters."""


def available() -> bool:
    """Whether this torch has oneDNN's convs with weights laid out beforehand."""
    names = (
        "_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight", "_is_mkldnn_bf16_supported",
    )  # fmt: skip
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)


@cache
def _types() -> tuple[torch.dtype, ...]:
    """The types that oneDNN lays weights out for on this processor: without AVX-512 or its like, not bfloat16."""
    half = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return (torch.float32, torch.bfloat16) if half else (torch.float32,)


def pack(net: nn.Module, pairs: Iterable[tuple[str, str]] = (), keep: str | None = None) -> None:
    """Replace the convs of ``net`` by packed ones, and blocks of Res2Net without norms by fused ones, in place.

    ``pairs`` are the names of convs and of the layers after them, whose activations are fused where possible. Names and
    parameters do not change. The block that contains the layer ``keep`` is not fused.
    """
    for module in net.modules():
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__, module.activation = PackedConv, nn.Identity()
    for conv_name, next_name in pairs:
        conv, follower = net.get_submodule(conv_name), net.get_submodule(next_name)
        if type(conv) is PackedConv and type(follower) in ACTIVATIONS:
            conv.activation = follower
            net.set_submodule(next_name, nn.Identity())
    for name, module in net.named_modules():
        normed = any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())
        if type(module) is Bottle2neck and not normed and not (keep or "").startswith(f"{name}."):
            module.__class__ = FusedBlock
            for layer in (module.conv1, *module.convs, module.conv3):
                layer.activation = nn.ReLU(inplace=True)


LAYOUTS = 3
"""Shapes of input that a conv keeps reordered weights for: those of field marks' passes over one batch of pictures."""


class PackedConv(nn.Conv2d):
    """A conv for inference whose weights are reordered for the shape of its input.

    An input of another shape than the `LAYOUTS` that they were reordered for last reorders them again, which costs as
    much as torch's conv needs at every call.
    """

    packed: Mapping[torch.Size, Tensor] = MappingProxyType({})
    """The reordered weights, by shape of input. Replaced as a whole: threads may share a net."""
    activation: nn.Module

    def forward(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        """activation(conv(``x``) + ``addend``); ``addend`` is overwritten."""
        if not self._fits(x):
            y = self._conv_forward(x, self.weight, self.bias)
            return self.activation(y if addend is None else addend.add_(y))
        how: tuple[Any, ...] = (self.padding, self.stride, self.dilation, self.groups)
        packed = self.packed
        if (weight := packed.get(x.shape)) is None:
            weight = torch.ops.mkldnn._reorder_convolution_weight(self.weight.detach(), *how, x.shape)
            self.packed = {**dict(list(packed.items())[1 - LAYOUTS :]), x.shape: weight}
        last, numbers = ACTIVATIONS[type(self.activation)]
        if addend is None:
            return torch.ops.mkldnn._convolution_pointwise(x, weight, self.bias, *how, last, numbers, "")
        add = torch.ops.mkldnn._convolution_pointwise_.binary
        return add(addend, x, weight, self.bias, *how, "add", 1.0, last, numbers, "")

    def _fits(self, x: Tensor) -> bool:
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"):
            return False
        learning = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        known = x.dtype in _types() and x.dtype == self.weight.dtype
        return known and x.device.type == "cpu" and x.numel() > 0 and not learning

    # The reordered weights are derived from the parameters: dropped when those change, and never copied.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "packed"}

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self.packed = {}
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.packed = {}
        super()._load_from_state_dict(*args, **kwargs)


class FusedBlock(Bottle2neck):
    """A block of Res2Net without norms, whose ReLUs and last addition are fused into its convs."""

    def forward(self, x: Tensor) -> Tensor:
        """As `Bottle2neck.forward`. Without gradients the result may be written into ``x``."""
        groups = self.conv1(x).split(self.width, dim=1)
        outs: list[Tensor] = []
        for i, conv in enumerate(self.convs):
            group = groups[i] if i == 0 or self.first else groups[i] + outs[-1]
            outs.append(conv(group))
        outs += [self.pool(group) for group in groups[len(outs) :]]
        if self.downsample is not None:
            x = self.downsample(x)
        elif torch.is_grad_enabled():
            x = x.clone()
        return self.conv3(torch.cat(outs, dim=1), addend=x)
