"""The map halfway: a layer of a net whose places lie half as far apart as those of its last feature map.

Where the last map of most nets has a place every 32 pixels, this one has one every 16: fine enough for a head or a
wing.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from wingbar.nets.saliency_head import MapNet
from wingbar.nets.tracing import probe, watching

DEPTH = 2
"""Depth of the candidate modules: children of the backbone's children, so whole stages or blocks, not their pieces."""


def middle_layer(net: MapNet) -> str | None:
    """Name of the last stage of the backbone whose output has twice the rows of the last feature map.

    None for a net that has none, such as a vision transformer, whose maps are all of one size.
    """
    stages = {
        f"backbone.{name}": module
        for name, module in net.backbone.named_modules()
        if name and name.count(".") < DEPTH and not isinstance(module, nn.Identity)
    }
    calls: list[tuple[str, tuple[int, ...]]] = []
    with watching(stages, lambda name, _, output: calls.append((name, tuple(output.shape)))):
        rows, columns = probe(net, net.forward_features).shape[2:]
    fine = [name for name, shape in calls if len(shape) == 4 and _places(shape, rows, columns)]
    return fine[-1] if fine else None


def _places(shape: tuple[int, ...], rows: int, columns: int) -> bool:
    """Whether an output, channels first or last, has twice the rows and columns."""
    return (2 * rows, 2 * columns) in (shape[2:], shape[1:3])


def both_maps(
    net: MapNet, layer: str | None, x: Float[Tensor, "batch 3 h w"]
) -> tuple[Float[Tensor, "batch channels gh gw"], Float[Tensor, "batch middle mh mw"]]:
    """The net's last feature map and, from the same pass, what its ``layer`` gave, channels first.

    Where there is no such ``layer`` (None) the last map stands in for it.
    """
    if layer is None:
        features = net.forward_features(x)
        return features, features
    outputs: list[Tensor] = []
    with watching({layer: net.get_submodule(layer)}, lambda _, __, output: outputs.append(output)):
        features = net.forward_features(x)
    middle = outputs[-1]
    channels_last = middle.shape[1] == 2 * features.shape[2] and middle.shape[3] != 2 * features.shape[3]
    return features, middle.permute(0, 3, 1, 2) if channels_last else middle
