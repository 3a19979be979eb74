"""What `import wingbar` gives, and what loading and predicting leave alone. Oracle: the documented contract."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_up import made_up, untrained
from PIL import Image

import wingbar
from wingbar._system.distributed import ALONE
from wingbar.errors import ConfigError, DataError, PictureError, WingbarError
from wingbar.model.folder import read_model
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer, load_together

GREY = np.full((40, 60, 3), 99, np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("api") / "model")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


# ---- the package ----------------------------------------------------------------------------------------------------


def test_the_package_shows_its_public_names_and_nothing_else() -> None:
    functions, records = ("train", "load", "evaluate", "export"), ("Config", "Recognizer", "Prediction", "Part")
    errors = {name for name in wingbar.__all__ if name.endswith(("Error", "TooLarge", "NeedsMemory"))}
    assert set(wingbar.__all__) == {*functions, *records, *errors}
    defined = [one for one in vars(wingbar.errors).values() if inspect.isclass(one) and issubclass(one, WingbarError)]
    assert {one.__name__ for one in defined} == errors
    assert dir(wingbar) == sorted([*wingbar.__all__, "__version__"])
    assert all(inspect.isfunction(getattr(wingbar, name)) for name in functions)
    assert all(inspect.isclass(getattr(wingbar, name)) for name in (*records, *errors))
    assert {name for name in vars(wingbar) if not name.startswith("_")} <= {
        *wingbar.__all__, "jaxtyping", *(path.stem for path in Path(wingbar.__file__).parent.iterdir())
    }  # fmt: skip


def test_the_version_is_that_of_the_installed_package() -> None:
    assert wingbar.__version__ == importlib.metadata.version("wingbar")


@pytest.mark.parametrize("name", ["train", "load", "evaluate", "export"])
def test_public_functions_speak_of_no_ranks(name: str) -> None:
    assert not {"world", "rank"} & set(inspect.signature(getattr(wingbar, name)).parameters)


def test_wrong_values_are_value_errors_too() -> None:
    assert issubclass(ConfigError, ValueError) and issubclass(DataError, ValueError)


# ---- load -----------------------------------------------------------------------------------------------------------


def test_loading_and_predicting_change_nothing_of_the_process(model: Path, monkeypatch) -> None:
    def state() -> list[object]:
        return [
            torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(),  # noqa: NPY002
            torch.get_num_threads(), torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,
            torch.get_float32_matmul_precision(),
        ]  # fmt: skip

    def untouched(*_: object) -> None:
        raise AssertionError("the allocator of a process that only loads a model is its own matter")

    monkeypatch.setattr("wingbar._system.memory.ctypes", SimpleNamespace(CDLL=untouched))
    before = state()
    wingbar.load(model).predict(GREY)
    assert state() == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"device": "gpu"}, "Did you mean 'cpu'"),
        ({"device": "cuda"}, "finds none here; give 'auto' or 'cpu'"),
        ({"device": "mps"}, "finds none here; give 'auto' or 'cpu'"),
        ({"device": "cuda", "runtime": "onnx"}, "run on the CPU"),
        ({"runtime": "tflite"}, "Known: torch, onnx"),
    ],
)
def test_a_device_that_is_not_there_is_told(model: Path, monkeypatch, given: dict[str, str], said: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=said):
        load_together(model, ALONE, **given)


@pytest.mark.parametrize(("trained_on", "chosen"), [("cpu", torch.device("cpu")), ("auto", None), ("cuda", None)])
def test_what_was_trained_on_the_cpu_answers_on_the_cpu(model: Path, trained_on: str, chosen: object) -> None:
    from dataclasses import replace

    from wingbar.model.folder import read_model
    from wingbar.model.torch_runtime import device_for

    card = replace(read_model(model).card, settings={"device": trained_on})
    assert device_for("auto", card) == chosen
    assert device_for("cpu", card) == torch.device("cpu")


def test_a_recogniser_says_in_a_line_what_it_is(tmp_path: Path) -> None:
    assert repr(made_up(tmp_path, ("wren\n\x1b", "robin", "owl", "kite"))) == (
        r"<Recognizer: opam with res2net_nano at 32 px, 4 classes: 'wren\n\x1b', 'robin', 'owl' and 1 more>"
    )


# ---- predictions ----------------------------------------------------------------------------------------------------


def test_predict_takes_one_picture_or_several(tmp_path: Path, picture: Path) -> None:
    recognizer = made_up(tmp_path / "model")
    alone = recognizer.predict(picture)
    assert isinstance(alone, Prediction)
    for several in ([picture, str(tmp_path / "nowhere.png"), GREY], (str(picture), b"no picture", picture)):
        predictions = recognizer.predict(several)
        assert [one.error is None for one in predictions] == [True, False, True]
        assert predictions[0].scores == predictions[2].scores == alone.scores
    assert recognizer.predict([]) == []
    with pytest.raises(PictureError, match="not a picture"):
        recognizer.predict(b"no picture")


def test_streams_may_stand_in_any_order_in_the_card(tmp_path: Path) -> None:
    recognizer, slope = made_up(tmp_path / "model"), np.linspace(0, 255, 60).astype(np.uint8)
    picture = np.tile(slope[None, :, None], (40, 1, 3))
    weights = dict(reversed(recognizer.card.fusion_weights.items()))
    model = read_model(tmp_path / "model")
    other = Recognizer(replace(model, card=replace(model.card, fusion_weights=weights)), recognizer.runtime)
    one, turned = recognizer.predict(picture), other.predict(picture)
    assert list(weights) == ["parts", "object", "picture"] and one.scores != one.streams["picture"]
    assert turned.scores == pytest.approx(one.scores)


def test_a_prediction_is_a_line_a_dictionary_and_a_picture(tmp_path: Path, picture: Path) -> None:
    recognizer = made_up(tmp_path / "model")
    one, unnamed, bad = *recognizer.predict([picture, GREY]), *recognizer.predict([b"no picture"])
    assert repr(one).startswith(f"<Prediction of '{picture}': '{one.label}' ") and "\n" not in repr(one)
    assert f"object at {one.object_box}, {len(one.parts)} parts>" in repr(one)
    assert repr(bad) == f"<Prediction: {bad.error}>" and repr(Prediction(None)).startswith("<Prediction: nothing")
    assert json.loads(json.dumps(one.to_dict(top=2))) == one.to_dict(top=2) and len(one.to_dict(top=2)["scores"]) == 2
    assert list(one.top(2).items()) == list(one.scores.items())[:2]
    asked, asked_too = recognizer.predict(picture, top=2), recognizer.predict([picture], top=2)[0]
    assert asked.top() == asked_too.top() == one.top(2) and asked.to_dict() == asked_too.to_dict() == one.to_dict(2)
    assert asked.scores == one.scores and asked.top(3) == one.top(3)  # nothing is lost
    with pytest.raises(ConfigError, match="top is 0"):
        recognizer.predict(picture, top=0)
    with pytest.raises(PictureError, match="not a picture"):
        bad.top()
    assert bad.to_dict() == {"path": None, "error": bad.error}
    with Image.open(io.BytesIO(one._repr_png_() or b"")) as drawn:
        assert drawn.format == "PNG" and np.array_equal(np.asarray(drawn), np.asarray(one.plot()))
    assert unnamed._repr_png_() is None and bad._repr_png_() is None
    picture.unlink()
    assert one._repr_png_() is None


def test_no_field_has_the_name_of_a_builtin() -> None:
    import builtins

    fields = {
        f"{node.name}.{field.target.id}"
        for path in Path(wingbar.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for field in node.body
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and hasattr(builtins, field.target.id)
    }
    assert fields == {"Station.id"}  # a key of the file that people write


def test_streams_are_fused_by_their_weights_and_alike_where_they_have_none(tmp_path: Path) -> None:
    recognizer = made_up(tmp_path)
    recognizer.card = replace(recognizer.card, fusion_weights={"picture": 0.75, "object": 0.25, "parts": 0.0})
    picture, parts = np.array([[0.8, 0.1, 0.1]]), np.array([[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(recognizer.fuse({"picture": picture, "object": parts}), 0.75 * picture + 0.25 * parts)
    np.testing.assert_allclose(recognizer.fuse({"picture": picture, "parts": parts}), picture)
    np.testing.assert_allclose(recognizer.fuse({"parts": parts}), parts)


FORKED = """
import multiprocessing, sys, numpy, torch, wingbar
torch.set_num_threads(2)
recognizer = wingbar.load(sys.argv[1], device="cpu")
grey = numpy.full((200, 300, 3), 99, numpy.uint8)
def name(_):
    return recognizer.predict(grey).label
here = name(0)
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert pool.map_async(name, [0]).get(timeout=float(sys.argv[2])) == [here]
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a pool does not fork")
def test_a_forked_pool_answers_though_torch_had_threads(tmp_path: Path) -> None:
    """A fork has none of its parent's threads, and OpenMP would wait for them for ever."""
    model = untrained(tmp_path / "model", "plain", side=128)
    done = subprocess.run([sys.executable, "-c", FORKED, str(model), "300"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
