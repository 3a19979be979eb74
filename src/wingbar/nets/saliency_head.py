"""A backbone's feature map, global average pooling and one linear layer: the head that makes maps exact.

With ``f`` the map, ``logit_k = b_k + sum_u w_ku * mean_xy f_u(x, y)``, hence the class activation map
``M_k(x, y) = sum_u w_ku * f_u(x, y)`` (Zhou et al., CVPR 2016; OPAM, arXiv 1704.01740, section III) is no
approximation: its mean over the places is the logit without its bias.

Some networks put a norm, a conv or attention between pooling and classifier (ConvNeXt's ``head.norm``,
MobileNetV3's ``conv_head``, SigLIP's ``attn_pool``). Here every network is pooled right after
``forward_features``, so those layers stay unused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from wingbar.errors import ConfigError

REMEDY = "Choose another --net: `wingbar backbones` lists some that work."
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class WeightsSource:
    """Where a network's weights come from, to be shown to the user and kept with the model."""

    name: str
    """The file's name, or the registry's name of the weights."""
    licence: str
    """As the registry or the file states it; ``"unknown"`` where neither does."""
    sha256: str | None
    """Of the file; None for weights that came through the registry."""


class MapNet(nn.Module):
    """A classifier whose class activation map is exactly ``head.weight[k] . forward_features(x)``.

    ``backbone`` has ``forward_features`` giving a map (NCHW, or NHWC where its ``output_fmt`` says so) or
    patch tokens after ``num_prefix_tokens`` others. Pictures are RGB in [0, 1], less ``mean``, over ``std``.
    """

    def __init__(
        self,
        name: str,
        backbone: nn.Module,
        num_features: int,
        num_classes: int,
        *,
        dropout: float = 0.0,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        input_size: tuple[int, int] = (224, 224),
        any_size: bool = True,
    ) -> None:
        super().__init__()
        self.name = name
        self.num_classes = num_classes
        self.num_features = num_features
        self.mean: tuple[float, ...] = tuple(mean)
        self.std: tuple[float, ...] = tuple(std)
        self.input_size, self.any_size = input_size, any_size
        self.weights_source: WeightsSource | None = None
        self.backbone: Any = backbone  # torch's Module knows nothing of forward_features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(num_features, num_classes)

    def forward_features(self, x: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch channels gh gw"]:
        """The feature map before global average pooling. Raises ConfigError where the backbone gives none."""
        x = self._in_whole_patches(x)
        features = self.backbone.forward_features(x)
        if not isinstance(features, Tensor) or features.ndim not in (3, 4):
            raise ConfigError(f"Network {self.name!r} gives no feature map. {REMEDY}")
        if features.ndim == 3:
            features = self._patch_map(features, x.shape[2], x.shape[3])
        elif str(getattr(self.backbone, "output_fmt", "NCHW")) == "NHWC":
            features = features.permute(0, 3, 1, 2)
        if features.shape[1] != self.num_features:
            channels = f"{features.shape[1]} channels where its classifier takes {self.num_features}"
            raise ConfigError(f"Network {self.name!r} gives no map of what it classifies: {channels}. {REMEDY}")
        return features

    def forward_head(self, fmap: Float[Tensor, "batch channels gh gw"]) -> Float[Tensor, "batch classes"]:
        """Logits of a map: global average pooling, dropout, linear."""
        return self.head(self.dropout(fmap.mean((2, 3))))

    def forward_evidence(self, fmap: Float[Tensor, "batch channels gh gw"]) -> Float[Tensor, "batch classes gh gw"]:
        """Class activation maps of every class, not normalised: their means over the places are logits less bias."""
        return torch.einsum("bchw,kc->bkhw", fmap, self.head.weight)

    def forward(self, x: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch classes"]:
        """Logits ``[batch, num_classes]``."""
        return self.forward_head(self.forward_features(x))

    def _in_whole_patches(self, x: Tensor) -> Tensor:
        """``x`` as it is, or resized to the nearest whole number of patches where the backbone takes no others."""
        patch = getattr(getattr(self.backbone, "patch_embed", None), "patch_size", 1)
        rows, columns = patch if isinstance(patch, tuple) else (patch, patch)
        size = [max(round(side / step), 1) * step for side, step in zip(x.shape[2:], (rows, columns), strict=True)]
        return x if size == list(x.shape[2:]) else functional.interpolate(x, size, mode="bilinear")

    def _patch_map(self, tokens: Tensor, height: int, width: int) -> Tensor:
        patches = tokens[:, getattr(self.backbone, "num_prefix_tokens", 0) :]
        if patches.shape[1] < 2:
            raise ConfigError(f"Network {self.name!r} gives no patch tokens, so no map. {REMEDY}")
        grid = token_grid(patches.shape[1], height, width)
        return patches.transpose(1, 2).unflatten(2, grid)


def normalize(pixels: UInt8[Tensor, "batch 3 h w"], net: Any) -> Float[Tensor, "batch 3 h w"]:
    """uint8 pixels -> float32 by the net's own mean and deviation, channels last."""
    return normalized(pixels.float() / 255, net)


def normalized(x: Float[Tensor, "batch 3 h w"], net: Any) -> Float[Tensor, "batch 3 h w"]:
    """Values in [0, 1] by the net's own mean and deviation, channels last. Changes ``x`` itself."""
    mean = torch.tensor(net.mean, device=x.device).view(1, 3, 1, 1)
    std = torch.tensor(net.std, device=x.device).view(1, 3, 1, 1)
    return x.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


def token_grid(count: int, height: int, width: int) -> tuple[int, int]:
    """The rows and columns that ``count`` patches form in a picture of ``height`` x ``width`` pixels.

    Patches are square, so rows over columns is the picture's own ratio, exactly so where the sides are
    multiples of the patch; of all factorisations of ``count`` the nearest to that ratio is taken.
    """
    rows = [r for r in range(1, count + 1) if count % r == 0]
    best = min(rows, key=lambda r: abs(log(r * r / count) - log(height / width)))
    return best, count // best
