"""Exported nets answer as the model does, and predict as it does without torch. Oracle: the model itself, in torch."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from made_up import untrained

import wingbar
from wingbar.config import Config
from wingbar.errors import DataError, ExportError, RunError
from wingbar.evaluation.evaluate import evaluate
from wingbar.model.card import STREAMS, Pretrained
from wingbar.model.export import Exported, about, export, outputs_of, to_onnx
from wingbar.model.folder import read_model
from wingbar.model.onnx_runtime import OnnxRuntime
from wingbar.model.torch_runtime import TorchRuntime, nets_of, torch_runtime
from wingbar.nets.outputs import CropNet
from wingbar.opam.alignment import AlignmentSettings
from wingbar.opam.filtering import FilterSettings
from wingbar.opam.localization import LocalizationSettings

SMALL = Config(
    method="opam", net="res2net_nano", weights="none", size=48, epochs=1, follow_epochs=1, batch_size=8, workers=0,
    filtering=FilterSettings(threshold=0.2, cap=5),
    localization=LocalizationSettings(rules=("principal otsu",)),
    alignment=AlignmentSettings(heads="per-cluster"),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, birds: Path) -> Path:
    """A run of every kind of net."""
    folder = tmp_path_factory.mktemp("export") / "run"
    wingbar.train(birds, folder, SMALL, quiet=True)
    return folder


@pytest.fixture(scope="module")
def oracle(run: Path) -> TorchRuntime:
    return torch_runtime(read_model(run))


@pytest.fixture(scope="module")
def exported(run: Path) -> tuple[Path, list[Exported]]:
    return run.parent / "onnx", export(run, run.parent / "onnx")


@pytest.fixture(scope="module")
def runtime(exported) -> OnnxRuntime:
    return OnnxRuntime(read_model(exported[0]))


def squares(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 3, 48, 48), dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_read_off_classnet_is_the_models(oracle, runtime, count: int) -> None:
    got, expected = runtime.picture(squares(count)), oracle.picture(squares(count))
    assert expected.neurons.shape[1] > 0 and np.ptp(expected.corners) > 0
    for one, other in zip(got, expected, strict=True):
        assert one.shape == other.shape and one.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("stream", ["object", "parts"])
def test_logits_are_the_models(oracle, runtime, stream: str, count: int) -> None:
    np.testing.assert_allclose(
        runtime.crops(stream, squares(count)), oracle.crops(stream, squares(count)), atol=1e-4, rtol=1e-4
    )


def test_predictions_are_the_models_and_need_no_torch(exported, run: Path, birds: Path) -> None:
    pictures = sorted(map(str, (birds / "test").rglob("*.*")))[:6] or sorted(map(str, birds.rglob("*.jpg")))[:6]
    code = (
        "import json, sys, wingbar.recognizer as r\n"
        "found = [p.to_dict() for p in r.load(sys.argv[1], runtime='onnx').predict_many(sys.argv[2:])]\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(exported[0]), *pictures], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for got, expected in zip(json.loads(done.stdout), wingbar.load(run).predict_many(pictures), strict=True):
        answer = expected.to_dict()
        assert got["label"] == answer["label"] and got["object_box"] == answer["object_box"]
        assert [part["box"] for part in got["parts"]] == [part["box"] for part in answer["parts"]]
        assert got["score"] == pytest.approx(answer["score"], abs=1e-4)


def test_an_exported_model_is_judged_like_its_run(exported, run: Path, birds: Path, tmp_path: Path) -> None:
    folder = tmp_path / "onnx"
    shutil.copytree(exported[0], folder)
    with pytest.raises(DataError, match="give labelled pictures"):  # an export does not tell where pictures lay
        evaluate(folder, out=tmp_path, runtime="onnx")
    assert str(birds) not in (folder / "recognizer.json").read_text()
    got, expected = evaluate(folder, birds, out=tmp_path, runtime="onnx"), evaluate(run)
    assert got.correct == expected.correct and got.combinations == expected.combinations
    assert (tmp_path / "evaluation.json").is_file() and not (folder / "evaluation.json").exists()


@pytest.mark.parametrize("name", STREAMS)
def test_a_file_is_sound_and_says_what_it_is(exported, run: Path, name: str) -> None:
    card, model = read_model(run).card, onnx.load(exported[0] / f"{name}.onnx")
    onnx.checker.check_model(model, full_check=True)
    facts = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert facts["stream"] == name and facts["pixels"]["side"] == 48 and facts["classes"] == list(card.classes)
    assert facts["licence"] == card.pretrained.licence and facts["net"] == "res2net_nano"
    assert (facts["neuron_layer"] is None) == (name != "picture")
    pixels = model.graph.input[0].type.tensor_type
    assert pixels.elem_type == onnx.TensorProto.UINT8 and pixels.shape.dim[0].dim_param == "batch"
    assert tuple(output.name for output in model.graph.output) == outputs_of(name, card)


def test_the_folder_is_whole(exported) -> None:
    folder, result = exported
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.onnx" for name in STREAMS), "recognizer.json", "alignment.safetensors", "seen.safetensors",
        "export.json", ".wingbar-output",
    }  # fmt: skip
    kept = json.loads((folder / "export.json").read_text())
    assert [one["file"] for one in kept["nets"]] == [one.file for one in result]
    assert all(value <= 1e-4 for one in result for value in one.differences.values())


def test_a_damaged_file_and_a_folder_without_exports_are_told(exported, run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="wingbar export"):
        wingbar.load(run, runtime="onnx")
    with pytest.raises(RunError, match=r"is an export, which .* read with --runtime onnx"):
        wingbar.load(exported[0])
    for path in exported[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = bytearray((tmp_path / "object.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "object.onnx").write_bytes(content)
    with pytest.raises(RunError, match=r"object\.onnx: damaged"):
        wingbar.load(tmp_path, runtime="onnx")


@pytest.fixture
def converted(exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of the run take the files that were made already: what follows the conversion is tried."""
    monkeypatch.setattr(
        "wingbar.model.export.to_onnx", lambda _, name, *more: (exported[0] / f"{name}.onnx").read_bytes()
    )


def test_a_byte_a_weight_is_smaller_and_still_the_same_net(run: Path, tmp_path: Path, exported, converted) -> None:
    small = {one.file: one for one in export(run, tmp_path / "int8", int8=True)}
    for one in exported[1]:
        assert small[one.file].megabytes < 0.6 * one.megabytes
    assert 0 < small["picture.onnx"].differences["evidence"] < 0.3


def test_the_licence_of_pretrained_weights_is_in_the_file(run: Path) -> None:
    card = replace(read_model(run).card, pretrained=Pretrained("x.safetensors", "cc-by-nc-4.0"))
    facts = about("object", card, int8=False)
    assert facts["licence"] == "cc-by-nc-4.0" and facts["weights"] == "x.safetensors"


def test_answers_that_differ_are_an_error_and_nothing_is_written(
    run: Path, tmp_path: Path, monkeypatch, converted
) -> None:
    import wingbar.model.export as module

    right = module.answers
    monkeypatch.setattr(
        module, "answers", lambda *given: {name: value * 1.001 for name, value in right(*given).items()}
    )
    with pytest.raises(ExportError, match=r"\.onnx: its \w+ differ by 0\.00"):
        export(run, tmp_path)
    assert not list(tmp_path.glob("*.onnx")) and not (tmp_path / "recognizer.json").exists()


def test_a_network_that_torch_cannot_export_is_told(run: Path, tmp_path: Path, monkeypatch) -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if float(x.sum()) > 0 else -x

    judge = CropNet(nets_of(read_model(run))["object"])
    judge.net.head = torch.nn.Sequential(judge.net.head, Odd())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError, match="torch cannot export object"):
        to_onnx(judge.eval(), "object", ("logits",), 48, {})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_told_with_its_remedy(run: Path, tmp_path: Path, monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else find(name, *rest))
    with pytest.raises(ExportError, match=r"^onnx not installed.*pip install 'wingbar\[export\]'"):
        export(run, tmp_path)


def test_a_folder_that_cannot_be_made_is_told(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="choose another place"):
        export(run, tmp_path / "file" / "onnx")


# ---- every kind of model --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("net", "int8"), [("res2net_nano", False), ("mobilenetv3_small_050", True), ("vit_tiny_patch16_224", False)]
)
def test_a_model_of_one_net_is_exported_and_predicts_the_same(tmp_path: Path, net: str, int8: bool) -> None:
    folder = untrained(tmp_path / "model", "plain", net)
    [told] = export(folder, tmp_path / "onnx", int8=int8)
    assert told.file == "picture.onnx" and set(told.differences) == {"evidence", "logits", "corners", "features"}
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    expected = wingbar.load(folder).predict(picture)
    got = wingbar.load(tmp_path / "onnx", runtime="onnx").predict(picture)
    assert list(got.streams) == ["picture"] and got.parts == ()
    assert got.scores == pytest.approx(expected.scores, abs=0.1 if int8 else 1e-4)
    assert int8 or got.object_box == expected.object_box


def test_what_the_checker_refuses_is_told_in_our_words(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise onnx.shape_inference.InferenceError("[ShapeInferenceError] Product cannot be 0\x1b")

    monkeypatch.setattr(onnx.checker, "check_model", refuse)
    net = CropNet(nets_of(read_model(untrained(tmp_path / "model", "plain")))["picture"])
    with pytest.raises(ExportError, match=r"object\.onnx: ONNX refuses .*Product cannot be 0.*another --net"):
        to_onnx(net.eval(), "object", ("logits",), 32, {})


def test_what_onnx_runtime_refuses_is_told_in_our_words(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("wingbar.model.export.to_onnx", lambda *_: b"junk")
    with pytest.raises(ExportError, match=r"picture\.onnx: ONNX refuses .*another --net"):
        export(untrained(tmp_path / "model", "plain"), tmp_path / "onnx")
    assert not (tmp_path / "onnx" / "recognizer.json").exists()


# ---- one folder, one model ------------------------------------------------------------------------------------------


def test_an_export_replaces_an_older_one_and_nothing_else(tmp_path: Path) -> None:
    opam, plain, out = untrained(tmp_path / "opam"), untrained(tmp_path / "run" / "model", "plain"), tmp_path / "onnx"
    out.mkdir()
    (tmp_path / "run" / "config.toml").touch()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for folder in (opam, plain, tmp_path / "run"):
        with pytest.raises(RunError, match=r"Choose another --out|choose another --out"):
            export(plain, folder)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    for name in ("object.onnx", "parts.onnx", "alignment.safetensors", "recognizer.json", "export.json", "notes.txt"):
        (out / name).write_text("of an older export")
    export(plain, out)
    assert {path.name for path in out.iterdir()} == {"picture.onnx", "recognizer.json", "export.json", "notes.txt"}
    assert wingbar.load(out, runtime="onnx").card.method == "plain"


def test_a_folder_of_two_models_is_not_guessed_at(tmp_path: Path, birds: Path) -> None:
    run = untrained(tmp_path / "run" / "model", "plain").parent
    wingbar.load(run)
    moved = untrained(tmp_path / "moved", "plain")
    shutil.copytree(moved, run, dirs_exist_ok=True)
    with pytest.raises(RunError, match=r"holds two models.*run/model"):
        wingbar.load(run)
    wingbar.load(run / "model")  # as the message says
    before = sorted(moved.rglob("*"))
    with pytest.raises(RunError, match=r"is a model's folder.*choose another --out"):
        wingbar.train(birds, moved, SMALL, quiet=True)
    assert sorted(moved.rglob("*")) == before
