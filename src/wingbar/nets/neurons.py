"""The neurons whose similarity tells parts apart: one layer's filters (OPAM, arXiv 1704.01740)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wingbar.errors import ConfigError
from wingbar.nets.saliency_head import MapNet
from wingbar.nets.tracing import probe, watching


def neuron_layer(net: MapNet) -> tuple[str, nn.Module]:
    """Name and module of the backbone's penultimate dense layer, in the order in which they run.

    Dense is a conv with one group, or a linear layer applied at each place (transformers, ConvNeXt). Layers
    that see fewer places than the map has (squeeze-and-excitation) do not count. The module's ``weight`` has
    one row a neuron. ConfigError where the network has fewer than two such layers.
    """
    dense = {f"backbone.{name}": layer for name, layer in net.backbone.named_modules() if _dense(layer)}
    calls: list[tuple[str, int]] = []

    def note(name: str, _: Tensor, output: Tensor) -> None:
        calls.append((name, output.numel() // len(dense[name].weight)))

    with watching(dense, note):
        fmap = probe(net, net.forward_features)
    names = list(dict.fromkeys(name for name, places in calls if places >= fmap[0, 0].numel()))
    if len(names) < 2:
        raise ConfigError(f"Network {net.name!r} has no two dense layers, so no neurons to group.")
    return names[-2], dense[names[-2]]


@torch.no_grad()
def layer_responses(net: MapNet, name: str, x: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch neurons"]:
    """Mean over all places of what ``net``'s layer ``name`` gives (before norm and ReLU) for each picture."""
    layer = net.get_submodule(name)
    outputs: list[Tensor] = []
    with watching({name: layer}, lambda _, __, output: outputs.append(output)):
        net.forward_features(x)
    return place_means(layer, outputs[-1], x)


def place_means(layer: nn.Module, output: Tensor, x: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch neurons"]:
    """Mean over all places of what a dense layer gave for the pictures ``x``."""
    if isinstance(layer, nn.Conv2d):
        return output.mean((2, 3))
    return output.reshape(x.shape[0], -1, output.shape[-1]).mean(1)


def _dense(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
