"""The neurons that parts are aligned by: the filters of one layer (OPAM, arXiv 1704.01740)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from wingbar.errors import ConfigError
from wingbar.nets.saliency_head import MapNet, token_grid
from wingbar.nets.tracing import probe, watching


def neuron_layer(net: MapNet) -> tuple[str, nn.Module]:
    """Name and module of the backbone's penultimate dense layer, in the order in which they run.

    Dense is a conv with one group, or a linear layer applied at each place (transformers, ConvNeXt). Layers
    that see fewer places than the map has (squeeze-and-excitation) do not count. The module's ``weight`` has
    one row for each neuron. Raises ConfigError for a network with fewer than two such layers.
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


def response_map(
    net: MapNet, name: str, x: Float[Tensor, "batch 3 h w"]
) -> tuple[Float[Tensor, "batch channels gh gw"], Float[Tensor, "batch neurons nh nw"]]:
    """The net's feature map, and what its layer ``name`` gave (before norm and ReLU) in the same pass.

    Responses that form no map (a layer within windows) are averaged to one place.
    """
    layer = net.get_submodule(name)
    outputs: list[Tensor] = []
    with watching({name: layer}, lambda _, __, output: outputs.append(output)):
        features = net.forward_features(x)
    output = outputs[-1]
    if isinstance(layer, nn.Conv2d):
        return features, output
    same = output.shape[0] == x.shape[0]  # symbols while a net is exported, which len() would make numbers
    if output.ndim == 4 and same:
        return features, output.permute(0, 3, 1, 2)
    prefix = int(getattr(net.backbone, "num_prefix_tokens", 0))
    if output.ndim == 3 and same and output.shape[1] - prefix > 1:
        tokens = output[:, prefix:].transpose(1, 2)
        return features, tokens.unflatten(2, token_grid(tokens.shape[2], x.shape[2], x.shape[3]))
    return features, output.reshape(x.shape[0], -1, output.shape[-1]).mean(1)[:, :, None, None]


def _dense(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
