"""A model for other programs: each of its nets as an ONNX file that takes plain pixels.

DIR/picture.onnx       ClassNet; object.onnx, parts.onnx and locator.onnx beside it, where the model has them
DIR/recognizer.json    the model's card as it is, and alignment.safetensors where there are parts
DIR/export.json        checksums, sizes, and how far the files' answers are from the model's

Every net takes ``pixels``, uint8 [batch, 3, side, side]: RGB squares, the whole picture or a crop of it resized (by
Pillow, bicubic) whatever its aspect. Scaling and normalisation are in the file. All give ``logits``; picture and
locator give ``evidence`` too, each class's map, and picture ``responses``, what alignment asks of the part crops.
Predictions average logits and evidence over a whole picture and its mirror; object and parts are judged as they are.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor, nn

from wingbar.errors import ExportError
from wingbar.files import make_folder, write_bytes, write_json
from wingbar.learning.loop import normalize
from wingbar.nets import MapNet, for_inference, layer_responses
from wingbar.nets.neurons import place_means
from wingbar.nets.tracing import watching
from wingbar.opam.saliency import class_evidence
from wingbar.recognizer import load

LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
OPSET = 18
TOLERANCE = 1e-4
"""Largest difference allowed: of probabilities, and of the other outputs as a share of their largest value."""


@dataclass(frozen=True)
class Exported:
    """One file, and how far its answers to random pictures are from the model's."""

    file: str
    sha256: str
    megabytes: float
    differences: dict[str, float]
    """By output: the largest, of probabilities for ``logits``, as a share of the largest value for the others."""


class Served(nn.Module):
    """A net from plain pixels to what predictions need of it."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: MapNet, maps: bool, layer: str | None) -> None:
        super().__init__()
        self.net, self.maps, self.layer = for_inference(net.cpu(), keep=layer), maps, layer
        self.register_buffer("mean", torch.tensor(net.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(net.std).view(1, 3, 1, 1))

    @property
    def outputs(self) -> list[str]:
        """Their names, in order."""
        return ["logits", *["evidence"] * self.maps, *["responses"] * bool(self.layer)]

    def forward(self, pixels: UInt8[Tensor, "batch 3 side side"]) -> tuple[Tensor, ...]:
        """The outputs."""
        given: list[Tensor] = []
        layers = {self.layer: self.net.get_submodule(self.layer)} if self.layer else {}
        with watching(layers, lambda _, __, output: given.append(output)):
            x = (pixels.float() / 255 - self.mean) / self.std
            features = self.net.forward_features(x)
        if not self.maps:
            return (self.net.forward_head(features),)
        evidence = class_evidence(features, self.net.head.weight)
        responses = [place_means(layer, given[-1], x) for layer in layers.values()]
        return (evidence.mean((2, 3)) + self.net.head.bias, evidence, *responses)


def export(run: Path | str, out: Path, *, int8: bool = False) -> list[Exported]:
    """Write the model of a run to the folder ``out`` as ONNX files; with ``int8`` their weights take a byte each.

    Raises RunError, or ExportError if a library is missing or a file's answers differ by more than `TOLERANCE` from
    the model's. What ``int8`` costs is measured and told, not bounded.
    """
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"{', '.join(missing)} not installed; get what exports need: pip install 'wingbar[export]'.")
    recognizer = load(run)
    card, folder = recognizer.card, Path(run) if (Path(run) / "recognizer.json").is_file() else Path(run) / "model"
    written = []
    make_folder(out)
    for name, net in recognizer.nets.items():
        side = card["locating_size" if name == "locator" else "test_size"]
        served = Served(net, name in ("picture", "locator"), card["neuron_layer"] if name == "picture" else None)
        content = to_onnx(served.eval(), side, about(name, card, side, int8))
        pixels = probes(side)
        expected = reference(net, served, pixels)
        differences = compare(expected, answers(content, pixels))
        worst = max(differences, key=differences.__getitem__)
        if differences[worst] > TOLERANCE:
            raise ExportError(
                f"{name}.onnx: its {worst} differ by {differences[worst]:.2g} from the model's (allowed: {TOLERANCE}), "
                "so nothing was written for it; report the network's name."
            )
        if int8:
            content = quantized(content)
            differences = compare(expected, answers(content, pixels))
        write_bytes(out / f"{name}.onnx", content)
        digest = hashlib.sha256(content).hexdigest()
        written.append(Exported(f"{name}.onnx", digest, round(len(content) / 1e6, 3), differences))
    for name in ("recognizer.json", "alignment.safetensors"):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    write_json(out / "export.json", {"int8": int8, "nets": [asdict(one) for one in written]})
    return written


def to_onnx(served: Served, side: int, facts: Mapping[str, Any]) -> bytes:
    """The ONNX file of a net for batches of any length, with ``facts`` as JSON values in its metadata."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        try:
            torch.onnx.export(
                served, (probes(side)[:2],), str(path),
                input_names=["pixels"], output_names=served.outputs, opset_version=OPSET, external_data=False,
                dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}}, verbose=False, artifacts_dir=folder,
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            reason = next(line for line in reversed(str(error).splitlines()) if line.strip())
            raise ExportError(
                f"torch cannot export {served.net.name}: {reason[:300]}; choose another --net."
            ) from error
        model = onnx.load(path)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def about(name: str, card: Mapping[str, Any], side: int, int8: bool) -> dict[str, Any]:
    """What a file says of itself."""
    return {
        "stream": name,
        "classes": card["classes"] if name != "locator" else ["object"],
        "net": card["net"],
        "pixels": {
            "layout": "uint8 [batch, 3, side, side], RGB, 0 to 255; normalisation is in the file",
            "side": side,
            "resize": "squash to the square, Pillow's bicubic with reducing_gap=2",
            "mirror": name in ("picture", "locator"),
        },
        "neuron_layer": card["neuron_layer"] if name == "picture" else None,
        "licence": card["pretrained"]["licence"],
        "weights": card["pretrained"]["weights"],
        "int8": int8,
    }


def probes(side: int) -> UInt8[Tensor, "4 3 side side"]:
    """Random pictures, always the same: noise, coarse to fine."""
    generator = torch.Generator().manual_seed(0)
    noise = [torch.rand(1, 3, side // cells, side // cells, generator=generator) for cells in (16, 8, 4, 1)]
    return torch.cat([nn.functional.interpolate(one, (side, side)) for one in noise]).mul(255).byte()


@torch.no_grad()
def reference(net: MapNet, served: Served, pixels: UInt8[Tensor, "n 3 side side"]) -> dict[str, ndarray]:
    """What the model itself says, by output: the oracle of the files."""
    x = normalize(pixels, net)
    features = net.forward_features(x)
    said = {"logits": net.forward_head(features)}
    if served.maps:
        said["evidence"] = class_evidence(features, net.head.weight)
    if served.layer:
        said["responses"] = layer_responses(net, served.layer, x)
    return {name: value.numpy() for name, value in said.items()}


def answers(content: bytes, pixels: UInt8[Tensor, "n 3 side side"]) -> dict[str, ndarray]:
    """What ONNX Runtime says on the CPU, by output."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels.numpy()}), strict=True))


def compare(expected: Mapping[str, ndarray], got: Mapping[str, ndarray]) -> dict[str, float]:
    """Largest differences by output, see `Exported.differences`."""
    found = {}
    for name, value in expected.items():
        one, other, scale = value, got[name], max(float(np.abs(value).max()), 1e-12)
        if name == "logits":
            one, other, scale = _probabilities(one), _probabilities(other), 1.0
        found[name] = float(np.abs(one - other).max()) / scale
    return found


def _probabilities(logits: ndarray) -> ndarray:
    return torch.from_numpy(logits).softmax(-1).numpy()


def quantized(content: bytes) -> bytes:
    """The file with its convs' and products' weights as uint8; inputs are quantised as they come."""
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "net.onnx", Path(folder) / "small.onnx"
        path.write_bytes(content)
        quant_pre_process(path, path, skip_symbolic_shape=True)
        # ONNX Runtime's CPU kernels of integer convs take unsigned weights only.
        quantize_dynamic(path, small, weight_type=QuantType.QUInt8)
        return small.read_bytes()
