"""The backbones that tests/nets/test_backbones.py trains by the whole method, and their facts, read off the nets."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from timm.models import get_pretrained_cfg

from wingbar.nets.inference import for_inference
from wingbar.nets.weights import STARTS_FROM
from wingbar.nets.zoo import create

BACKBONES = {
    "Res2Net": (
        *("res2net_nano", "res2net50_26w_4s", "res2net50_48w_2s", "res2net50_14w_8s"),
        *("res2net50_26w_6s", "res2net50_26w_8s", "res2net101_26w_4s"),
    ),
    "ResNet": ("resnet18", "resnet50"),
    "VGG with CAM head": ("vgg19_bn_cam",),
    "MobileNetV2": ("mobilenetv2_100",),
    "EfficientNet": ("efficientnet_b0",),
    "EfficientNet-Lite": ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2"),
    "ConvNeXt": ("convnext_atto",),
    "Swin": ("swin_tiny_patch4_window7_224",),
    "ViT": ("vit_tiny_patch16_224",),
    "DINOv2 with registers": ("vit_small_patch14_reg4_dinov2",),
}
"""Names by family. Other models of timm that give a feature map should work as well."""
BATCH = 8
REPEATS = 3


@dataclass(frozen=True)
class BackboneFacts:
    """The facts of a backbone that do not depend on its weights."""

    family: str
    name: str
    stride: int
    """Pixels of the picture from one place of the map to the next."""
    parameters: int
    """Without the head."""
    licence: str
    """Of the ImageNet weights, as timm states it; ``-`` where there are none."""


@torch.no_grad()
def facts(family: str, name: str) -> BackboneFacts:
    """Facts of the network, which is built without memory for its weights, and of timm's registry."""
    with torch.device("meta"):
        net = create(name, 1).eval()
        side = net.input_size[0]
        fmap = net.forward_features(torch.zeros(1, 3, side, side))
    weights = get_pretrained_cfg(STARTS_FROM.get(name, name), allow_unregistered=True)
    licence = (weights.license or "unknown") if weights is not None and weights.has_weights else "-"
    parameters = sum(parameter.numel() for parameter in net.backbone.parameters())
    return BackboneFacts(family, name, round(side / fmap.shape[2]), parameters, licence)


def all_facts() -> list[BackboneFacts]:
    """`facts` of all of `BACKBONES`."""
    return [facts(family, name) for family, names in BACKBONES.items() for name in names]


@torch.no_grad()
def pictures_per_second(name: str, size: int) -> float:
    """Forward passes of pictures of ``size`` px on this machine, as for prediction: batches of 8, the best of three."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    net = for_inference(create(name, 1)).to(device).to(memory_format=torch.channels_last)
    batch = torch.zeros(BATCH, 3, size, size, device=device).to(memory_format=torch.channels_last)
    seconds = []
    for _ in range(1 + REPEATS):  # the first one does not count
        started = time.perf_counter()
        net(batch).cpu()  # waits for a GPU
        seconds.append(time.perf_counter() - started)
    return BATCH / min(seconds[1:])
