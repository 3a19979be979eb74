"""Exported nets answer as the model does. Oracle: the model itself, in torch."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import wingbar
from wingbar.attention import look, part_responses
from wingbar.config import Config, FilterSettings, LocalizationSettings, PartSettings
from wingbar.errors import ExportError, RunError
from wingbar.export import Exported, Served, about, export, to_onnx
from wingbar.learning.loop import normalize

STREAMS = ("picture", "object", "parts", "locator")
SMALL = Config(
    net="res2net_nano", weights="none", size=48, epochs=1, follow_epochs=1, batch_size=8, workers=0,
    filtering=FilterSettings(threshold=0.2, cap=5),
    localization=LocalizationSettings(rules=("principal otsu",)),
    parts=PartSettings(heads="per-cluster"),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, birds: Path) -> Path:
    """A run of every kind of net."""
    folder = tmp_path_factory.mktemp("export") / "run"
    wingbar.train(birds, folder, SMALL, quiet=True)
    return folder


@pytest.fixture(scope="module")
def recognizer(run: Path) -> wingbar.Recognizer:
    return wingbar.load(run)


@pytest.fixture(scope="module")
def exported(run: Path) -> tuple[Path, list[Exported]]:
    return run.parent / "onnx", export(run, run.parent / "onnx")


def side_of(recognizer: wingbar.Recognizer, name: str) -> int:
    return recognizer.card["locating_size" if name == "locator" else "test_size"]


def pictures(count: int, side: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def said(folder: Path, name: str, pixels: torch.Tensor) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels.numpy()}), strict=True))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", STREAMS)
def test_logits_are_the_models(exported, recognizer, name: str, count: int) -> None:
    net, pixels = recognizer.nets[name], pictures(count, side_of(recognizer, name))
    with torch.no_grad():
        expected = net(normalize(pixels, net)).numpy()
    got = said(exported[0], name, pixels)["logits"]
    assert got.shape == expected.shape and len(got) == count
    np.testing.assert_allclose(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["picture", "locator"])
def test_maps_and_logits_of_predictions_follow_from_a_picture_and_its_mirror(exported, recognizer, name: str) -> None:
    pixels = pictures(2, side_of(recognizer, name))
    _, logits, evidence = look(recognizer.nets[name], pixels, recognizer.hardware)
    plain, mirrored = said(exported[0], name, pixels), said(exported[0], name, pixels.flip(3))
    np.testing.assert_allclose((plain["logits"] + mirrored["logits"]) / 2, logits, atol=1e-4, rtol=1e-4)
    mean = (plain["evidence"] + mirrored["evidence"][..., ::-1]) / 2
    np.testing.assert_allclose(mean, evidence, atol=1e-4 * np.abs(evidence).max())


@pytest.mark.parametrize("count", [1, 3])
def test_neurons_answer_as_in_the_model(exported, recognizer, count: int) -> None:
    pixels = pictures(count, side_of(recognizer, "picture"))
    expected = part_responses(recognizer.nets["picture"], pixels, recognizer.alignment.layer, recognizer.hardware)
    got = said(exported[0], "picture", pixels)["responses"]
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", STREAMS)
def test_a_file_is_sound_and_says_what_it_is(exported, recognizer, name: str) -> None:
    model = onnx.load(exported[0] / f"{name}.onnx")
    onnx.checker.check_model(model, full_check=True)
    facts = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert facts["stream"] == name and facts["pixels"]["side"] == side_of(recognizer, name)
    assert facts["classes"] == (["object"] if name == "locator" else list(recognizer.classes))
    assert facts["licence"] == recognizer.card["pretrained"]["licence"] and facts["net"] == "res2net_nano"
    assert (facts["neuron_layer"] is None) == (name != "picture")
    pixels = model.graph.input[0].type.tensor_type
    assert pixels.elem_type == onnx.TensorProto.UINT8 and pixels.shape.dim[0].dim_param == "batch"


def test_the_folder_is_whole(exported, run: Path) -> None:
    folder, told = exported
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.onnx" for name in STREAMS), "recognizer.json", "alignment.safetensors", "export.json",
    }  # fmt: skip
    assert (folder / "recognizer.json").read_bytes() == (run / "model" / "recognizer.json").read_bytes()
    kept = json.loads((folder / "export.json").read_text())
    assert [one["file"] for one in kept["nets"]] == [one.file for one in told]
    assert all(value <= 1e-4 for one in told for value in one.differences.values())


def test_a_byte_a_weight_is_smaller_and_still_the_same_net(run: Path, tmp_path: Path, monkeypatch, exported) -> None:
    recognizer = wingbar.load(run)
    recognizer.nets = {"picture": recognizer.nets["picture"]}
    monkeypatch.setattr("wingbar.export.load", lambda _: recognizer)
    (small,) = export(run, tmp_path / "int8", int8=True)
    assert small.megabytes < 0.5 * exported[1][0].megabytes
    assert 0 < small.differences["evidence"] < 0.3


def test_the_licence_of_pretrained_weights_is_in_the_file(recognizer) -> None:
    card = recognizer.card | {"pretrained": {"weights": "x.safetensors", "licence": "cc-by-nc-4.0"}}
    facts = about("object", card, 48, int8=False)
    assert facts["licence"] == "cc-by-nc-4.0" and facts["weights"] == "x.safetensors"


def test_answers_that_differ_are_an_error_and_nothing_is_written(run: Path, tmp_path: Path, monkeypatch) -> None:
    right = {}
    monkeypatch.setattr("wingbar.export.to_onnx", lambda served, side, facts: right.update(served=served) or b"")

    def wrong(content: bytes, pixels: torch.Tensor) -> dict[str, np.ndarray]:
        with torch.no_grad():
            outputs = [output.numpy() for output in right["served"](pixels)]
        return dict(zip(right["served"].outputs, outputs[:1] + [output * 1.001 for output in outputs[1:]], strict=True))

    monkeypatch.setattr("wingbar.export.answers", wrong)
    with pytest.raises(ExportError, match=r"picture\.onnx: its (evidence|responses) differ by 0\.001"):
        export(run, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_torch_cannot_export_is_told(recognizer, tmp_path: Path, monkeypatch) -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else -x

    served = Served(recognizer.nets["object"], False, None)
    served.net.head = torch.nn.Sequential(served.net.head, Odd())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError, match="torch cannot export res2net_nano"):
        to_onnx(served.eval(), 48, {})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_told_with_its_remedy(run: Path, tmp_path: Path, monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else find(name, *rest))
    with pytest.raises(ExportError, match=r"^onnx not installed.*pip install 'wingbar\[export\]'"):
        export(run, tmp_path)


def test_a_folder_that_cannot_be_made_is_told(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="choose another --out"):
        export(run, tmp_path / "file" / "onnx")
