"""A model for other programs, and for prediction without torch: each of its nets as an ONNX file of plain pixels.

DIR/picture.onnx       the net of whole pictures with all that is read off its maps, and its second head
DIR/views.onnx         field marks: the same net on crops; of OPAM there are object.onnx and parts.onnx instead
DIR/recognizer.json    the model's card, with the checksums of the files; beside it what the model has of
                       alignment.safetensors, joint.safetensors, strangers.safetensors and seen.safetensors
DIR/export.json        sizes, and how far the files' answers are from the model's

Every net takes ``pixels``, uint8 [batch, 3, side, side]: RGB squares, the whole picture or a crop of it resized (by
Pillow, bicubic) whatever its aspect. Scaling and normalisation are in the file. Object and parts give ``logits``;
picture gives the fields of `wingbar.model.runtime.PictureOutput`, without ``neurons`` where none align parts; of a
picture and its mirror but for field marks; views gives the fields of `wingbar.model.runtime.ViewOutput`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor, nn

from wingbar._system.files import make_folder, write_bytes, write_json, writing
from wingbar._system.memory import OUT_OF_MEMORY, out_of_memory
from wingbar._system.text import printable
from wingbar.errors import ExportError, RunError
from wingbar.model._onnx import import_onnxruntime, import_quantization
from wingbar.model.card import FILE, STREAMS, VIEWS, Card
from wingbar.model.folder import misstated, read_model
from wingbar.model.runtime import PictureOutput, ViewOutput
from wingbar.model.save import SEEN
from wingbar.model.torch_runtime import boxes_of, nets_of, view_modules
from wingbar.nets.outputs import CropNet, PictureNet
from wingbar.opam.calibration import softmax

LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
OPSET = 18
KEPT_ARRAYS = ("alignment", "joint", "strangers", "seen")
"""Files of a model that no net takes the place of."""
TOLERANCE = 1e-4
"""Largest difference allowed: of probabilities, and of the other outputs as a share of their largest value."""


@dataclass(frozen=True)
class Exported:
    """One exported file, and how far its outputs for random pictures differ from the model's."""

    file: str
    sha256: str
    megabytes: float
    differences: dict[str, float]
    """By output: the largest, of probabilities for ``logits``, as a share of the largest value for the others."""


def export(run: Path | str, out: Path | str, *, int8: bool = False) -> list[Exported]:
    """Write the nets of a model to the folder ``out`` as ONNX files, which take uint8 pixels ``[n, 3, side, side]``.

    ``run`` is a run folder, or a model's folder. With ``int8`` the weights take one byte each; the result then states
    the largest differences from the model, which have no limit. Without it a file whose outputs differ by more than
    `TOLERANCE` from the model's is an error. ``out`` may hold an older export, which is replaced.

    Raises RunError for a model that is missing or damaged, and where ``out`` holds a run or another model; ExportError
    where a library is missing, a net cannot be exported, or the outputs differ.

    >>> import wingbar
    >>> sorted(file.file for file in wingbar.export("run", "onnx"))
    ['picture.onnx', 'views.onnx']
    """
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"{', '.join(missing)} not installed; get what exports need: pip install 'wingbar[export]'.")
    model = read_model(run)
    with misstated(model.card_file):
        card, nets = model.card, nets_of(model)
        if card.has_marks:
            modules = view_modules(model, nets[VIEWS])
        else:
            modules = {name: CropNet(net) for name, net in nets.items()}
            modules["picture"] = PictureNet(nets["picture"], boxes_of(model), card.neuron_layer)
        modules["picture"] = Outputs(modules["picture"], len(outputs_of("picture", card)))
        facts = {name: about(name, card, int8) for name in modules}
    out = Path(out)
    refuse_other_models(out)
    make_folder(out)
    written = {
        name: _write(out, name, outputs_of(name, card), module.eval(), facts[name], int8)
        for name, module in modules.items()
    }
    arrays = [f"{name}.safetensors" for name in KEPT_ARRAYS if name in card.sha256]
    arrays = [name for name in arrays if name != SEEN or (model.folder / name).exists()]
    for name in arrays:
        shutil.copyfile(model.folder / name, out / name)
    _remove_stale(out, [*(file.file for file in written.values()), *arrays])
    write_json(out / "export.json", {"int8": int8, "nets": [asdict(file) for file in written.values()]})
    # Where the training pictures lie is for a run on this machine, not for whoever gets the export.
    data = replace(card.data, source="", images_root="")
    replace(card, data=data, onnx={name: file.sha256 for name, file in written.items()}).write(out)
    return list(written.values())


class Outputs(nn.Module):
    """The first ``count`` outputs of a net for whole pictures: ONNX has no neurons where there are none."""

    def __init__(self, net: nn.Module, count: int) -> None:
        super().__init__()
        self.net, self.count = net, count

    def forward(self, pixels: UInt8[Tensor, "batch 3 h w"]) -> tuple[Tensor, ...]:
        """See `PictureNet` and `WholeNet`."""
        return self.net(pixels)[: self.count]


def outputs_of(name: str, card: Card) -> tuple[str, ...]:
    """Names of the outputs of a stream's file, in order."""
    if name == VIEWS:
        return ViewOutput._fields
    if name != "picture":
        return ("logits",)
    return tuple(output for output in PictureOutput._fields if card.has_parts or output != "neurons")


def refuse_other_models(out: Path) -> None:
    """Raises RunError where an export to ``out`` would lie beside, or over, a run or a trained model."""
    if (out / "model" / FILE).exists() or (out / "steps").exists() or (out / "config.toml").exists():
        raise RunError(
            f"{out}: is a run's folder; an export beside its model would be a second one. Choose another --out."
        )
    if (out / FILE).exists() and not (out / "export.json").exists():
        raise RunError(f"{out}: is the folder of a trained model, which an export would destroy; choose another --out.")


def _remove_stale(out: Path, written: Collection[str]) -> None:
    """Clear away what an older export of another model left in ``out``."""
    files = [*(f"{name}.onnx" for name in (*STREAMS, VIEWS)), *(f"{name}.safetensors" for name in KEPT_ARRAYS)]
    with writing(out):
        for file in files:
            if file not in written:
                (out / file).unlink(missing_ok=True)


def _write(
    out: Path, name: str, outputs: Sequence[str], module: nn.Module, facts: Mapping[str, Any], int8: bool
) -> Exported:
    side = facts["pixels"]["side"]
    pixels, content = probes(side), to_onnx(module, name, outputs, side, facts)
    with torch.no_grad():
        tensors = module(pixels)
    expected = dict(zip(outputs, tensors if isinstance(tensors, tuple) else (tensors,), strict=True))
    with _refused(name):
        differences = compare(expected, answers(content, pixels))
    worst = max(differences, key=differences.__getitem__)
    if differences[worst] > TOLERANCE:
        raise ExportError(
            f"{name}.onnx: its {worst} differ by {differences[worst]:.2g} from the model's (allowed: {TOLERANCE}), "
            "so nothing was written for it; report the network's name."
        )
    if int8:
        with _refused(name):
            content = quantized(content)
            differences = compare(expected, answers(content, pixels))
    write_bytes(out / f"{name}.onnx", content)
    return Exported(f"{name}.onnx", hashlib.sha256(content).hexdigest(), round(len(content) / 1e6, 3), differences)


def to_onnx(module: nn.Module, name: str, outputs: Sequence[str], side: int, facts: Mapping[str, Any]) -> bytes:
    """The ONNX file of a net for batches of any length, with ``facts`` as JSON values in its metadata.

    Raises ExportError where torch cannot export the net, or what it makes is no sound file.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        try:
            torch.onnx.export(
                module, (probes(side)[:2],), str(path),
                input_names=["pixels"], output_names=list(outputs), opset_version=OPSET, external_data=False,
                dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}}, verbose=False, artifacts_dir=folder,
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            reason = next(line for line in reversed(str(error).splitlines()) if line.strip())
            raise ExportError(f"torch cannot export {name}: {reason[:300]}; choose another --net.") from error
        model = onnx.load(path)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in facts.items()})
    with _refused(name):
        onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """Raises ExportError for what ONNX and ONNX Runtime raise about a file, which has no base but Exception."""
    try:
        yield
    except Exception as error:
        if out_of_memory(error) or OUT_OF_MEMORY.search(str(error)):
            raise
        reason = printable(str(error), 300)
        raise ExportError(
            f"{name}.onnx: ONNX refuses what torch makes of this net ({reason}); choose another --net."
        ) from error


def about(name: str, card: Card, int8: bool) -> dict[str, Any]:
    """The metadata of a file."""
    return {
        "stream": name,
        "classes": list(card.classes),
        "net": card.net,
        "pixels": {
            "layout": "uint8 [batch, 3, side, side], RGB, 0 to 255; normalisation is in the file",
            "side": card.picture_size if name == "picture" else card.eval_size,
            "resize": "squash to the square, Pillow's bicubic with reducing_gap=2",
        },
        "neuron_layer": card.neuron_layer if name == "picture" else None,
        "licence": card.pretrained.licence,
        "weights": card.pretrained.weights,
        "int8": int8,
    }


def probes(side: int) -> UInt8[Tensor, "4 3 side side"]:
    """Random pictures, always the same: noise, coarse to fine."""
    generator = torch.Generator().manual_seed(0)
    noise = [torch.rand(1, 3, side // cells, side // cells, generator=generator) for cells in (16, 8, 4, 1)]
    return torch.cat([nn.functional.interpolate(picture, (side, side)) for picture in noise]).mul(255).byte()


def answers(content: bytes, pixels: UInt8[Tensor, "n 3 side side"]) -> dict[str, ndarray]:
    """The outputs of ONNX Runtime on the CPU, by name."""
    session = import_onnxruntime().InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels.numpy()}), strict=True))


def compare(expected: Mapping[str, Tensor], got: Mapping[str, ndarray]) -> dict[str, float]:
    """Largest differences by output, see `Exported.differences`."""
    differences = {}
    for name, tensor in expected.items():
        wanted, given = tensor.numpy(), got[name]
        scale = max(float(np.abs(wanted).max(initial=0)), 1e-12)
        if name == "logits":
            wanted, given, scale = softmax(wanted), softmax(given), 1.0
        differences[name] = float(np.abs(wanted - given).max(initial=0)) / scale
    return differences


def quantized(content: bytes) -> bytes:
    """The file with its convs' and products' weights as uint8; inputs are quantised as they come."""
    import onnx

    quantization = import_quantization()
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "net.onnx", Path(folder) / "small.onnx"
        model = onnx.load_from_string(content)
        del model.graph.value_info[:]  # the shapes that torch 2.11 states are not those that folding leaves
        onnx.save(model, path)
        quantization.quant_pre_process(path, path, skip_symbolic_shape=True)
        # ONNX Runtime's CPU kernels of integer convs take unsigned weights only.
        quantization.quantize_dynamic(path, small, weight_type=quantization.QuantType.QUInt8)
        return small.read_bytes()
