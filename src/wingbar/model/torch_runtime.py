"""Runs a model's nets by torch."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy import ndarray
from torch import nn

from wingbar._system.memory import keep_freed_memory, out_of_memory
from wingbar.errors import ConfigError, RunError
from wingbar.model.folder import Model
from wingbar.model.runtime import PictureOutput
from wingbar.nets import MapNet, create, for_inference
from wingbar.nets.outputs import BoxHead, CropNet, PictureNet


class TorchRuntime:
    """Runs a model's nets by torch, folded for inference, on a GPU where there is one."""

    def __init__(
        self,
        nets: Mapping[str, MapNet],
        boxes: BoxHead | None = None,
        layer: str | None = None,
        device: torch.device | None = None,
    ) -> None:
        """``nets`` by stream: ``picture`` is ClassNet. ``layer`` is the one that parts are aligned by."""
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        classnet = for_inference(nets["picture"], keep=layer)
        self.picture_net = self._placed(PictureNet(classnet, copy.deepcopy(boxes), layer))
        crops = {name: CropNet(for_inference(net)) for name, net in nets.items() if name != "picture"}
        self.crop_nets = {name: self._placed(net) for name, net in crops.items()}

    def _placed(self, module: nn.Module) -> nn.Module:
        return module.eval().to(self.device).to(memory_format=torch.channels_last)

    def picture(self, squares: UInt8[ndarray, "batch 3 side side"]) -> PictureOutput:
        """See `Runtime.picture`."""
        return PictureOutput(*self._run(self.picture_net, squares))

    def crops(self, stream: str, squares: UInt8[ndarray, "batch 3 side side"]) -> Float32[ndarray, "batch outputs"]:
        """See `Runtime.crops`."""
        return self._run(self.crop_nets[stream], squares)[0]

    @torch.no_grad()
    def _run(self, net: nn.Module, squares: ndarray) -> tuple[ndarray, ...]:
        """What the net gives, one half after the other where memory does not suffice for the whole."""
        try:
            given = net(torch.from_numpy(np.ascontiguousarray(squares)).to(self.device))
            return tuple(one.float().cpu().numpy() for one in (given if isinstance(given, tuple) else (given,)))
        except RuntimeError as error:
            if len(squares) == 1 or not out_of_memory(error):
                raise
        # Only here, behind the error, is what the whole batch held given back.
        halves = [self._run(net, half) for half in np.array_split(squares, 2)]
        return tuple(np.concatenate(both) for both in zip(*halves, strict=True))


def nets_of(model: Model) -> dict[str, MapNet]:
    """The model's nets by stream, in torch and in eval mode. Raises RunError where they do not fit the card."""
    card, nets = model.card, {}
    for name in card.fusion_weights:
        state = {key: torch.from_numpy(value) for key, value in model.arrays(name).items()}
        try:
            if (shapes := _shapes(model, name)) is not None:
                shapes.load_state_dict(state, assign=True)
            net = _blank(model, name)
            net.load_state_dict(state)
        except RuntimeError as error:
            raise RunError(f"{model.folder / name}.safetensors: does not fit {card.net}: {error}") from None
        nets[name] = net.eval()
    if "parts" in nets:
        nets["picture"].get_submodule(card.neuron_layer or "")
    return nets


def _blank(model: Model, name: str) -> MapNet:
    """The net of a stream, untrained."""
    net = create(model.card.net, len(model.card.classes))
    net.head = nn.Linear(net.num_features, model.card.outputs(name))
    return net


def _shapes(model: Model, name: str) -> MapNet | None:
    """The net without memory for its weights: a card of a few bytes may ask for more than the machine has.

    None for the few families that cannot be built so: torch raises NotImplementedError where values are needed,
    `create` ConfigError where the net cannot be made. They are built with memory then, and errors come from there.
    """
    try:
        with torch.device("meta"):
            return _blank(model, name)
    except (ConfigError, NotImplementedError):
        return None


def boxes_of(model: Model) -> BoxHead | None:
    """What reads the object's box off ClassNet's features; None in a model that learnt no boxes."""
    if not model.card.has_box_regression:
        return None
    arrays = model.arrays("locator")
    return BoxHead(torch.from_numpy(arrays["weight"]), torch.from_numpy(arrays["bias"]))


def torch_runtime(model: Model, device: str = "auto") -> TorchRuntime:
    """The model's nets in torch, on ``device``; the process keeps the memory that they free.

    Raises RunError, or ConfigError for a device that is not there.
    """
    keep_freed_memory()
    if device not in ("auto", "cpu") and not getattr(torch, device).is_available():
        raise ConfigError(f"device {device!r} is not there, or torch was built without it; give --device cpu.")
    place = None if device == "auto" else torch.device(device)
    return TorchRuntime(nets_of(model), boxes_of(model), model.card.neuron_layer, place)
