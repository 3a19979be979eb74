"""Convs on a CPU as one call of oneDNN each: weights laid out once for all, activation and addition done on the way.

torch lays a conv's weights out anew at every call, and on one thread does not even ask oneDNN for 1x1 convs of small
batches. The operator that torch's own compiler calls does better, but is no public one: `available` says whether this
torch has it, and whatever it cannot do (training, a GPU, tracing, other types) is done by the ordinary conv.
"""

from __future__ import annotations

from collections.abc import Iterable
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
"""Those that oneDNN does on the way, with its names and numbers for them."""


def available() -> bool:
    """Whether this torch has oneDNN's convs with weights laid out beforehand."""
    names = ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)


def pack(net: nn.Module, pairs: Iterable[tuple[str, str]] = (), keep: str | None = None) -> None:
    """Change the convs of ``net`` into packed ones, and Res2Net's blocks, their norms folded, into fused ones.

    ``pairs`` are names of convs and of what comes next; where that is an activation that a conv can do, it does.
    Names and parameters stay. The block that holds the layer ``keep`` stays a block of single steps.
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


class PackedConv(nn.Conv2d):
    """A conv whose weights, no longer trained, are laid out for the shape of what it is given.

    Another shape lays them out anew, which costs no more than torch's own conv pays at every call.
    """

    packed: tuple[torch.Size, Tensor] | None = None
    activation: nn.Module

    def forward(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        """``x`` through the conv, plus ``addend``, which is overwritten, through the activation."""
        if not self._fits(x):
            y = self._conv_forward(x, self.weight, self.bias)
            return self.activation(y if addend is None else addend.add_(y))
        how: tuple[Any, ...] = (self.padding, self.stride, self.dilation, self.groups)
        if self.packed is None or self.packed[0] != x.shape:
            weight = torch.ops.mkldnn._reorder_convolution_weight(self.weight.detach(), *how, x.shape)
            self.packed = x.shape, weight
        weight, (last, numbers) = self.packed[1], ACTIVATIONS[type(self.activation)]
        if addend is None:
            return torch.ops.mkldnn._convolution_pointwise(x, weight, self.bias, *how, last, numbers, "")
        add = torch.ops.mkldnn._convolution_pointwise_.binary
        return add(addend, x, weight, self.bias, *how, "add", 1.0, last, numbers, "")

    def _fits(self, x: Tensor) -> bool:
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled("cpu"):
            return False
        learning = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        known = x.dtype in (torch.float32, torch.bfloat16) and x.dtype == self.weight.dtype
        return known and x.device.type == "cpu" and x.numel() > 0 and not learning

    # The laid out weights follow the parameters: made anew when those change, and never copied.
    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "packed"}

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self.packed = None
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.packed = None
        super()._load_from_state_dict(*args, **kwargs)


class FusedBlock(Bottle2neck):
    """A block without norms, whose ReLUs and whose last addition its convs do."""

    def forward(self, x: Tensor) -> Tensor:
        """As `Bottle2neck.forward`, and where gradients are off the result may take the place of ``x``."""
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
