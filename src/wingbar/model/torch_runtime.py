"""Runs a model's nets by torch."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy import ndarray
from torch import nn

from wingbar._system.devices import require_device
from wingbar._system.memory import out_of_memory
from wingbar.errors import ConfigError, RunError
from wingbar.model.card import VIEWS, Card
from wingbar.model.folder import Model
from wingbar.model.runtime import PictureOutput, ViewOutput
from wingbar.nets import MapNet, create, for_inference
from wingbar.nets.outputs import BoxHead, CornerHead, CropNet, MarkHead, PictureNet, SecondHead, ViewNet, WholeNet

HEAD_PARTS = ("last", "middle", "bias")
_ran_in: int | None = None
"""The process that has run nets; in a fork of it, its parent until nets run there."""


def _leave_lost_threads() -> None:
    """In a fork of a process that ran nets, compute with one thread.

    torch's other threads did not come along the fork, and OpenMP would wait for them for ever.
    """
    global _ran_in
    process = os.getpid()
    if _ran_in not in (None, process):
        torch.set_num_threads(1)
    _ran_in = process


class TorchRuntime:
    """Runs a model's nets by torch, folded for inference."""

    def __init__(self, modules: Mapping[str, nn.Module], device: torch.device | None = None) -> None:
        """``modules`` by the names of the model's nets: see `nets.outputs`.

        Without ``device`` they run on a CUDA GPU where there is one, else on the CPU.
        """
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.modules = {
            name: module.eval().to(self.device).to(memory_format=torch.channels_last)
            for name, module in modules.items()
        }

    def picture(self, squares: UInt8[ndarray, "batch 3 side side"]) -> PictureOutput:
        """See `Runtime.picture`."""
        return PictureOutput(*self._run(self.modules["picture"], squares))

    def crops(self, stream: str, squares: UInt8[ndarray, "batch 3 side side"]) -> Float32[ndarray, "batch outputs"]:
        """See `Runtime.crops`."""
        return self._run(self.modules[stream], squares)[0]

    def views(self, squares: UInt8[ndarray, "batch 3 side side"]) -> ViewOutput:
        """See `Runtime.views`."""
        return ViewOutput(*self._run(self.modules[VIEWS], squares))

    @torch.no_grad()
    def _run(self, net: nn.Module, squares: ndarray) -> tuple[ndarray, ...]:
        """The outputs of a net. Where memory does not suffice for the batch, its halves are run one after the other."""
        _leave_lost_threads()
        try:
            given = net(torch.from_numpy(np.ascontiguousarray(squares)).to(self.device))
            return tuple(one.float().cpu().numpy() for one in (given if isinstance(given, tuple) else (given,)))
        except RuntimeError as error:
            if len(squares) == 1 or not out_of_memory(error):
                raise
        # Only here, behind the error, is what the whole batch held given back.
        halves = [self._run(net, half) for half in np.array_split(squares, 2)]
        return tuple(np.concatenate(both) for both in zip(*halves, strict=True))


def stream_modules(
    nets: Mapping[str, MapNet], boxes: BoxHead | None = None, layer: str | None = None
) -> dict[str, nn.Module]:
    """What runs nets by stream: ``picture`` is ClassNet. ``layer`` is the one that parts are aligned by."""
    classnet = for_inference(nets["picture"], keep=layer)
    crops = {name: CropNet(for_inference(net)) for name, net in nets.items() if name != "picture"}
    return {"picture": PictureNet(classnet, copy.deepcopy(boxes), layer), **crops}


def nets_of(model: Model) -> dict[str, MapNet]:
    """The model's nets by stream, in torch and in eval mode.

    Raises RunError for an export, which has ONNX files only, and where they do not fit the card.
    """
    card, nets = model.card, {}
    if card.onnx:
        raise RunError(
            f"{model.folder}: is an export, which predict, predict-many and evaluate read with --runtime onnx "
            '(in Python, runtime="onnx"). For anything else give the run that it was made from.'
        )
    for name in card.nets:
        state = {key: torch.from_numpy(value) for key, value in model.arrays(name).items()}
        try:
            if (shapes := _shapes(model, name)) is not None:
                shapes.load_state_dict(state, assign=True)
            net = _blank(model, name)
            net.load_state_dict(state)
        except RuntimeError as error:
            raise RunError(f"{model.folder / name}.safetensors: does not fit {card.net}: {error}") from None
        nets[name] = net.eval()
    if card.has_parts:
        nets["picture"].get_submodule(card.neuron_layer or "")
    return nets


def _blank(model: Model, name: str) -> MapNet:
    """The untrained net of a stream. The random state of torch does not change."""
    with torch.random.fork_rng(devices=[]):
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
    """The regression of the object's box from ClassNet's features; None in a model without one."""
    if not model.card.has_box_regression:
        return None
    arrays = model.arrays("locator")
    return BoxHead(torch.from_numpy(arrays["weight"]), torch.from_numpy(arrays["bias"]))


def torch_runtime(model: Model, device: torch.device | None = None) -> TorchRuntime:
    """The model's nets in torch, on ``device``. Raises RunError."""
    nets = nets_of(model)
    if model.card.has_marks:
        return TorchRuntime(view_modules(model, for_inference(nets[VIEWS])), device)
    return TorchRuntime(stream_modules(nets, boxes_of(model), model.card.neuron_layer), device)


def view_modules(model: Model, net: MapNet) -> dict[str, nn.Module]:
    """What runs the one net of field marks of a model: see `view_modules_of`."""
    return view_modules_of(net, model.card.middle_layer, model.arrays("readout"), model.arrays("second"))


def view_modules_of(
    net: MapNet, layer: str | None, readout: Mapping[str, ndarray], second: Mapping[str, ndarray] | None
) -> dict[str, nn.Module]:
    """A net with the linear functions of its two maps that tell corners and marks: see `steps.readout`.

    ``picture`` is the net on whole pictures, with the ``second`` head of these (`steps.joint`) where there is one yet;
    ``views`` is the same net on crops. Raises TypeError and ValueError for a head that does not fit.
    """
    if layer is not None:
        net.get_submodule(layer)
    tensors = _tensors(readout)
    picture, crop = (CornerHead(*(tensors[f"{kind}_{part}"] for part in HEAD_PARTS)) for kind in ("picture", "crop"))
    marks = MarkHead(tensors["mark_last"], tensors["mark_middle"])
    head = None if second is None else SecondHead(**_tensors(second))
    return {"picture": WholeNet(net, layer, picture, head), VIEWS: ViewNet(net, layer, crop, marks)}


def _tensors(arrays: Mapping[str, ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def device_for(name: str, card: Card) -> torch.device | None:
    """The device called ``name``; None for ``auto``, unless the model was trained with ``device = "cpu"``.

    Raises ConfigError for a device that this machine, or this build of torch, does not have.
    """
    if name == "auto":
        return torch.device("cpu") if card.settings.get("device") == "cpu" else None
    require_device(name)
    return torch.device(name)
