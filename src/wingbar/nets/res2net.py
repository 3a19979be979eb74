"""Res2Net: a ResNet whose 3x3 conv is split into groups of channels that feed one another.

Gao et al., *Res2Net: A New Multi-scale Backbone Architecture*, TPAMI 2021, arXiv 1904.01169, section 3:
with ``x_i`` the i-th of ``s`` groups of channels and ``K_i`` its own 3x3 conv,

    y_1 = x_s passes untouched,    y_i = K_i(x_i + y_(i-1))    (no addition in the first block of a stage)

State-dict keys are the originals' (``conv1 bn1 layer1.0.conv1 layer1.0.convs.0 layer1.0.bns.0 ... fc``), so
official and timm files load strictly, and outputs, gradients and running statistics equal timm's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Bottle2neck(nn.Module):
    """One residual block, ``inplanes`` to ``4 * planes`` channels, with ``scale`` groups of channels.

    Each group has ``planes * base_width // 64`` channels. In the first block of a stage (``first``) the
    groups are not added to one another and the last one is average-pooled instead of passed through. Scale 1
    is the ordinary bottleneck: one 3x3 conv and nothing passed through.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        base_width: int = 26,
        scale: int = 4,
        first: bool = False,
    ) -> None:
        super().__init__()
        outplanes = planes * self.expansion
        if not first and (stride > 1 or inplanes != outplanes):
            raise ValueError("a block that changes the shape must be the first of its stage")
        self.width = planes * base_width // 64
        self.first = first
        branches = max(1, scale - 1)

        self.conv1 = nn.Conv2d(inplanes, self.width * scale, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(self.width * scale)
        self.convs = nn.ModuleList(nn.Conv2d(self.width, self.width, 3, stride, 1, bias=False) for _ in range(branches))
        self.bns = nn.ModuleList(nn.BatchNorm2d(self.width) for _ in range(branches))
        self.pool = nn.AvgPool2d(3, stride, padding=1) if first else nn.Identity()
        self.conv3 = nn.Conv2d(self.width * scale, outplanes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outplanes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride > 1 or inplanes != outplanes:
            shortcut = nn.Conv2d(inplanes, outplanes, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outplanes))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b out h2 w2"]:
        """The block's output, its sides divided by the stride (rounded up)."""
        groups = self.relu(self.bn1(self.conv1(x))).split(self.width, dim=1)
        outs: list[Tensor] = []
        for i, (conv, bn) in enumerate(zip(self.convs, self.bns, strict=True)):
            group = groups[i] if i == 0 or self.first else self._add(groups[i], outs[-1])
            outs.append(self.relu(bn(conv(group))))
        outs += [self.pool(group) for group in groups[len(outs) :]]
        out = self.bn3(self.conv3(torch.cat(outs, dim=1)))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)

    @staticmethod
    def _add(group: Tensor, previous: Tensor) -> Tensor:
        # The backward pass needs both operands as they were; without one the sum may overwrite the group.
        return group + previous if torch.is_grad_enabled() else group.add_(previous)


class Res2Net(nn.Module):
    """Res2Net of ``len(layers)`` stages (each after the first halves the sides) with ``layers[i]`` blocks.

    ``width`` is the number of stem channels and of the first stage's planes, 64 in the paper. With
    ``num_classes=0`` there is no ``fc`` and ``forward`` gives the pooled features.
    """

    def __init__(
        self,
        layers: Sequence[int] = (3, 4, 6, 3),
        base_width: int = 26,
        scale: int = 4,
        num_classes: int = 1000,
        width: int = 64,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = width
        self.stages: list[str] = []
        for i, count in enumerate(layers):
            planes, stride = width * 2**i, 1 if i == 0 else 2
            blocks = []
            for j in range(count):
                blocks.append(Bottle2neck(channels, planes, stride if j == 0 else 1, base_width, scale, first=j == 0))
                channels = planes * Bottle2neck.expansion
            self.stages.append(f"layer{i + 1}")
            self.add_module(self.stages[-1], nn.Sequential(*blocks))
        self.num_features = channels
        self.fc = nn.Linear(channels, num_classes) if num_classes else nn.Identity()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """The map before global average pooling; sides are 1/32 of the picture's with four stages."""
        x = self.relu(self.maxpool(self.bn1(self.conv1(x))))  # in this order a quarter of the places need a ReLU
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return x

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k"]:
        """Logits ``[batch, num_classes]``."""
        return self.fc(self.forward_features(x).mean((2, 3)))


def res2net50(num_classes: int = 1000) -> Res2Net:
    """Res2Net-50, 26 channels x 4 groups: the paper's default, 25.7 M parameters."""
    return Res2Net((3, 4, 6, 3), 26, 4, num_classes)


def res2net50_26w_4s(num_classes: int = 1000) -> Res2Net:
    """Res2Net-50, 26 channels x 4 groups, 25.7 M parameters."""
    return Res2Net((3, 4, 6, 3), 26, 4, num_classes)


def res2net50_48w_2s(num_classes: int = 1000) -> Res2Net:
    """Res2Net-50, 48 channels x 2 groups, 25.3 M parameters."""
    return Res2Net((3, 4, 6, 3), 48, 2, num_classes)


def res2net50_14w_8s(num_classes: int = 1000) -> Res2Net:
    """Res2Net-50, 14 channels x 8 groups, 25.1 M parameters."""
    return Res2Net((3, 4, 6, 3), 14, 8, num_classes)


def res2net50_26w_6s(num_classes: int = 1000) -> Res2Net:
    """Res2Net-50, 26 channels x 6 groups, 37.1 M parameters."""
    return Res2Net((3, 4, 6, 3), 26, 6, num_classes)


def res2net50_26w_8s(num_classes: int = 1000) -> Res2Net:
    """Res2Net-50, 26 channels x 8 groups, 48.4 M parameters."""
    return Res2Net((3, 4, 6, 3), 26, 8, num_classes)


def res2net101_26w_4s(num_classes: int = 1000) -> Res2Net:
    """Res2Net-101, 26 channels x 4 groups, 45.2 M parameters."""
    return Res2Net((3, 4, 23, 3), 26, 4, num_classes)
