"""Patch filtering (OPAM, section III.A): which candidate patches show the object.

    keep p  if  softmax(FilterNet(p))_c > threshold,   c: the label of the picture that p was cut from

Patches that are kept train ClassNet together with the whole pictures.

Where we differ: the paper forwards every patch as a picture of its own (`crop_confidences`). By default we
forward the picture once, enlarged, and pool each patch out of the feature map by RoIAlign into the same head
(`roi_confidences`), which costs one forward pass a picture instead of hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from torchvision.ops import roi_align

from wingbar._system.settings import within
from wingbar.nets.saliency_head import MapNet

PATCHES_AT_ONCE = 512
"""Pooled together from one picture: 10 MB for 200 classes."""


@dataclass(frozen=True)
class FilterSettings:
    """Patch filtering: which patches ClassNet learns from beside the whole pictures."""

    enabled: bool = True
    """Off: ClassNet learns from all candidates (up to the cap)."""
    scorer: Literal["roi", "crop"] = "roi"
    """Pool patches from one forward pass of the picture, or forward each patch."""
    threshold: float = 0.9
    """Least softmax of a patch at its picture's own label."""
    cap: int = 30
    """Most patches kept of one picture."""
    folds: int = 0
    """Score out of fold with this many FilterNets; 0: one net that has seen the pictures."""

    def __post_init__(self) -> None:
        within(self, "filtering", threshold=(0, 1), cap=(0, 10_000), folds=(0, 50))


@torch.no_grad()
def crop_confidences(
    net: MapNet, crops: Float[Tensor, "patches 3 height width"], label: int
) -> Float[Tensor, "patches"]:
    """Softmax at ``label`` of each patch, forwarded as a normalised picture of its own."""
    return net(crops).float().softmax(1)[:, label]


@torch.no_grad()
def roi_confidences(
    net: MapNet,
    picture: Float[Tensor, "3 height width"],
    boxes: Float[ndarray, "patches 4"],
    label: int,
    cells: int = 5,
) -> Float[Tensor, "patches"]:
    """Softmax at ``label`` of each patch, pooled from ONE forward pass of the normalised picture.

    ``boxes`` are xyxy in the pixels of ``picture``; each is sampled on ``cells`` x ``cells`` places. Pooling and the
    linear head commute, so the head comes first: classes are pooled, which are far fewer than channels.
    """
    features = net.forward_features(picture[None])
    evidence = net.forward_evidence(features).float()
    scale_x = features.shape[3] / picture.shape[2]
    scale_y = features.shape[2] / picture.shape[1]
    scaled = torch.from_numpy(np.asarray(boxes, np.float32)).to(features.device)
    scaled = scaled * torch.tensor([scale_x, scale_y, scale_x, scale_y], device=features.device)
    pooled = [  # some at a time: thousands of patches times thousands of classes would fill the memory
        roi_align(evidence, [some], output_size=cells, sampling_ratio=1, aligned=True).mean((2, 3))
        for some in scaled.split(PATCHES_AT_ONCE)
    ]
    return (torch.cat(pooled) + net.head.bias.float()).softmax(1)[:, label]


def keep_patches(confidences: Float[ndarray, "patches"], threshold: float = 0.9, cap: int = 50) -> Int[ndarray, "kept"]:
    """Indices of the patches above ``threshold``, surest first, at most ``cap``; ties keep their order."""
    order = np.argsort(-confidences, kind="stable")
    return order[confidences[order] > threshold][:cap]
