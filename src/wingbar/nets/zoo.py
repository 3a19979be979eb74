"""From a name to a network: our Res2Net, the paper's VGG-19 with the CAM head, any of timm's models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
from jaxtyping import Float
from torch import Tensor, nn

from wingbar.errors import ConfigError, suggestion
from wingbar.nets import res2net
from wingbar.nets.res2net import Res2Net
from wingbar.nets.saliency_head import IMAGENET_MEAN, IMAGENET_STD, MapNet
from wingbar.nets.weights import load_weights


class VggCam(nn.Module):
    """VGG-19 with batch norm up to its last conv stage, without ``pool5``, then a 3x3 conv of 1024 channels.

    The CAM network of the paper's authors; the map's sides are 1/16 of the picture's.
    """

    plan = (64, 64, 0, 128, 128, 0, *[256] * 4, 0, *[512] * 4, 0, *[512] * 4)  # channels; 0 is a 2x2 max pool
    num_features = 1024

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in self.plan:
            if width == 0:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            channels = width
        self.features = nn.Sequential(*layers)
        self.cam = nn.Conv2d(channels, self.num_features, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1024 h2 w2"]:
        """The map of the 1024-channel conv after its ReLU."""
        return self.relu(self.cam(self.features(x)))


def res2net_nano() -> Res2Net:
    """A Res2Net of three one-block stages (map at 1/16), small enough to train from scratch on a laptop."""
    return Res2Net((1, 1, 1), base_width=32, scale=4, num_classes=0, width=16)


OURS: dict[str, Callable[[], nn.Module]] = {
    "res2net50": lambda: res2net.res2net50(0),
    "res2net50_26w_4s": lambda: res2net.res2net50_26w_4s(0),
    "res2net50_48w_2s": lambda: res2net.res2net50_48w_2s(0),
    "res2net50_14w_8s": lambda: res2net.res2net50_14w_8s(0),
    "res2net50_26w_6s": lambda: res2net.res2net50_26w_6s(0),
    "res2net50_26w_8s": lambda: res2net.res2net50_26w_8s(0),
    "res2net101_26w_4s": lambda: res2net.res2net101_26w_4s(0),
    "res2net_nano": res2net_nano,
    "vgg19_bn_cam": VggCam,
}


def require_known(name: str) -> None:
    """Raise ConfigError unless `create` knows the name."""
    if name not in OURS and not timm.is_model(name):
        likely = suggestion(name, [*OURS, *timm.list_models()])
        raise ConfigError(f"Unknown network {name!r}.{likely} `wingbar backbones` lists those that were tried.")


def create(name: str, num_classes: int, weights: str | Path | None = None, *, dropout: float = 0.0) -> MapNet:
    """A network by name: one of ours, or any model of timm that gives a feature map or patch tokens.

    ``weights`` is None (random; nothing is read or fetched), ``"imagenet"`` (see ``weights.find``) or a
    ``.safetensors``, ``.pth`` or ``.pt`` file; where they come from is then in ``net.weights_source``.
    Networks take RGB pictures ``[batch, 3, height, width]``, normalised by their own ``mean`` and ``std``;
    sides other than ``input_size`` are fine wherever the architecture allows.
    ConfigError for an unknown name, WeightsError for weights that are missing, unreadable or do not fit.
    """
    if num_classes < 1:
        raise ConfigError(f"A network needs at least one class, not {num_classes}.")
    require_known(name)
    net = _ours(name, num_classes, dropout) if name in OURS else _timm(name, num_classes, dropout)
    if weights is not None:
        net.weights_source = load_weights(net, weights)
    return net


def _ours(name: str, num_classes: int, dropout: float) -> MapNet:
    backbone: Any = OURS[name]()
    return MapNet(name, backbone, backbone.num_features, num_classes, dropout=dropout)


def _timm(name: str, num_classes: int, dropout: float) -> MapNet:
    backbone = _timm_backbone(name)
    config = backbone.pretrained_cfg
    return MapNet(
        name,
        backbone,
        backbone.num_features,
        num_classes,
        dropout=dropout,
        mean=config.get("mean", IMAGENET_MEAN),
        std=config.get("std", IMAGENET_STD),
        input_size=tuple(config.get("input_size", (3, 224, 224))[1:]),
        any_size=not config.get("fixed_input_size", False),
    )


def _timm_backbone(name: str) -> Any:
    """timm's model without classifier and pooling, for pictures of any size where its family can."""
    pooling: dict[str, Any] = {"global_pool": ""}
    any_size: dict[str, Any] = {"dynamic_img_size": True}
    for options in (pooling | any_size, pooling, any_size, {}):
        try:
            return timm.create_model(name, pretrained=False, num_classes=0, **options)
        except (TypeError, AssertionError) as error:  # the family does not take these options
            refusal = error
        except RuntimeError as error:
            raise ConfigError(f"Network {name!r} cannot be built: {error}") from error
    raise ConfigError(f"Network {name!r} cannot be built: {refusal}") from refusal
