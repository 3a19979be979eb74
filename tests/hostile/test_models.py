"""Models from strangers: nothing in them runs, nothing is allocated on their word, and each fault is named."""

from __future__ import annotations

import ast
import dis
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
import pytest
import torch
from bounds import in_time
from made_up import untrained
from safetensors.numpy import load_file, save

import wingbar
from wingbar.errors import RunError
from wingbar.model import torch_runtime
from wingbar.model.export import export
from wingbar.nets import create

SOURCE = Path(wingbar.__file__).parent
CLASSES = ("wren", "robin", "owl")


# ---- no code --------------------------------------------------------------------------------------------------------


def code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from code_objects(constant)


BUILTINS = {"eval", "exec", "compile", "__import__"}
MODULES = {
    "pickle", "_pickle", "dill", "joblib", "marshal", "shelve", "cloudpickle", "yaml", "allow_pickle", "system",
    "popen",
    "Popen",
    "load_library", "register_custom_ops_library", "runpy", "import_module",
}  # fmt: skip
ALLOWED = {
    "nets/weights.py": {"pickle"},  # the exception that torch's reader of plain tensors raises
    "__init__.py": {"import_module"},  # the package's own names
}


def dangerous_names(path: Path) -> set[str]:
    """The names in a file's byte code that could run code from files."""
    names: set[str] = set()
    for code in code_objects(compile(path.read_text(encoding="utf-8"), path, "exec")):
        names |= MODULES & {piece for name in code.co_names for piece in name.split(".")}
        plain = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_NAME", "LOAD_GLOBAL")}
        names |= BUILTINS & plain  # net.eval() is another word
    return names


def test_the_byte_code_names_nothing_that_runs_code_from_files() -> None:
    names = {path.relative_to(SOURCE).as_posix(): dangerous_names(path) for path in SOURCE.rglob("*.py")}
    assert {file: result for file, result in names.items() if result} == ALLOWED


def test_torch_and_numpy_load_plain_tensors_only() -> None:
    readers = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pickle":
                assert node.attr == "UnpicklingError", path
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "numpy.load"):
                readers.add(path.relative_to(SOURCE).as_posix())
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert options.get("weights_only") == "True", (path, node.lineno)
    assert readers == {"nets/packages.py", "nets/weights.py"}


# ---- shapes, sizes, paths -------------------------------------------------------------------------------------------


def write(folder: Path, value: dict[str, Any], arrays: dict[str, dict[str, np.ndarray]]) -> Path:
    """A model folder whose checksums are right, whatever it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    sums = {}
    for name, tensors in arrays.items():
        content = save({key: np.ascontiguousarray(values) for key, values in tensors.items()})
        (folder / f"{name}.safetensors").write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    (folder / "recognizer.json").write_text(json.dumps({"sha256": sums, **value}))
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model with every file."""
    return untrained(tmp_path_factory.mktemp("strange") / "model", classes=CLASSES, side=32)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    value = json.loads((folder / "recognizer.json").read_text())
    value.pop("checksum", None)  # of the card as it was
    return value, {name: load_file(folder / f"{name}.safetensors") for name in value.pop("sha256")}


def test_the_sound_model_loads_and_predicts(sound: Path) -> None:
    prediction = wingbar.load(sound).predict(np.full((40, 60, 3), 99, np.uint8))
    assert set(prediction.scores) == set(CLASSES) and prediction.parts


Change = Callable[[dict[str, Any], dict[str, dict[str, np.ndarray]]], object]


def more_classes(value: dict[str, Any], count: int) -> None:
    """So many classes more, in all of the card."""
    names = [f"class {number}" for number in range(count)]
    value["classes"] += names
    value["lineages"]["rows"] += [[name] for name in names]


CHANGES: dict[str, Change] = {
    "more classes": lambda value, arrays: more_classes(value, 1),
    "a million classes": lambda value, arrays: more_classes(value, 10**6),
    "a longer head": lambda value, arrays: arrays["object"].update({"head.bias": np.zeros(300, np.float32)}),
    "a missing weight": lambda value, arrays: arrays["picture"].pop("head.weight"),
    "one weight too many": lambda value, arrays: arrays["picture"].update(more=np.zeros(3, np.float32)),
    "not numbers": lambda value, arrays: arrays["picture"].update({"head.bias": np.full(3, np.nan, np.float32)}),
    "infinite": lambda value, arrays: arrays["locator"].update(bias=np.full(4, np.inf, np.float32)),
    "another net": lambda value, arrays: value.update(net="vgg19_bn_cam"),
    "no net": lambda value, arrays: value.update(net="../../evil"),
    "a net of another kind": lambda value, arrays: value.update(net=["res2net_nano"]),
    "clusters out of range": lambda value, arrays: arrays["alignment"]["neurons"].fill(7),
    "negative clusters": lambda value, arrays: arrays["alignment"]["neurons"].fill(-1),
    "fewer neurons": lambda value, arrays: arrays["alignment"].update(neurons=np.zeros(2, np.int64)),
    "neurons in a square": lambda value, arrays: arrays["alignment"].update(neurons=np.zeros((2, 2), np.int64)),
    "broken neurons": lambda value, arrays: arrays["alignment"].update(neurons=np.zeros(256, np.float32)),
    "a lonely mean": lambda value, arrays: arrays["alignment"].update(mean=np.zeros(1)),
    "no deviation": lambda value, arrays: arrays["alignment"].pop("deviation"),
    "more clusters than told": lambda value, arrays: value["alignment"].update(clusters=5),
    "a head a cluster": lambda value, arrays: value["alignment"].update(heads="per-cluster"),
    "a locator of other maps": lambda value, arrays: arrays["locator"].update(weight=np.ones((4, 256, 9, 9), "f4")),
    "a flat locator": lambda value, arrays: arrays["locator"].update(weight=np.zeros(4, np.float32)),
    "a locator without bias": lambda value, arrays: arrays["locator"].pop("bias"),
    "no alignment": lambda value, arrays: arrays.pop("alignment"),
    "no such layer": lambda value, arrays: value.update(neuron_layer="backbone.__class__"),
    "a layer that is none": lambda value, arrays: value.update(neuron_layer=3),
    "a stream with a path": lambda value, arrays: value["fusion_weights"].update({"../../x": 0.1}),
    "a giant square": lambda value, arrays: value.update(eval_size=10**9),
    "a giant picture": lambda value, arrays: value.update(picture_size=10**9),
    "an unknown rule": lambda value, arrays: value.update(rule="__import__('os')"),
    "an unknown setting": lambda value, arrays: value["proposals"].update(evil=1),
    "endless proposals": lambda value, arrays: value["proposals"].update(limit=10**9),
    "a margin in words": lambda value, arrays: value.update(margin="wide"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_model_that_does_not_fit_its_card_is_refused(sound: Path, tmp_path: Path, monkeypatch, what: str) -> None:
    value, arrays = read(sound)
    CHANGES[what](value, arrays)
    folder, made = write(tmp_path / "model", value, arrays), []

    def noted(*given: Any) -> Any:
        made.append(torch.get_default_device())
        return create(*given)

    monkeypatch.setattr(torch_runtime, "create", noted)
    with in_time(what), pytest.raises(RunError, match=r"recognizer\.json|\.safetensors") as caught:
        wingbar.load(folder)
    assert str(folder) in str(caught.value) and "\x1b" not in str(caught.value)
    if what in ("a million classes", "another net"):
        assert {device.type for device in made} == {"meta"}  # nothing was allocated on the card's word


def with_strangers(value: dict[str, Any], arrays: dict[str, dict[str, np.ndarray]]) -> None:
    """A sound rule by which strangers are told."""
    channels = arrays["locator"]["weight"].shape[1]
    arrays["strangers"] = {
        f"picture.{name}": np.ones(shape, np.float32)
        for name, shape in {"axes": (channels, 5), "origin": 5, "means": (len(CLASSES), 5), "spread": 5}.items()
    }
    value["strangers"] = {
        "means": [0.0, 0.0], "deviations": [1.0, 1.0], "slope": 1.0, "intercept": 0.0, "threshold": 0.5, "caught": 0.5,
    }  # fmt: skip


def scattered(arrays: dict[str, dict[str, np.ndarray]], **changed: np.ndarray) -> None:
    """Other arrays of where the classes lie."""
    arrays["strangers"] |= {f"picture.{name}": array for name, array in changed.items()}


def renamed(arrays: dict[str, np.ndarray], view: str) -> None:
    """The same of another view."""
    for key in list(arrays):
        arrays[key.replace("picture", view)] = arrays.pop(key)


STRANGE_CHANGES: dict[str, Change] = {
    "no means": lambda value, arrays: arrays["strangers"].pop("picture.means"),
    "nothing": lambda value, arrays: arrays.pop("strangers"),
    "means without a rule": lambda value, arrays: value.update(strangers=None),
    "means of another view": lambda value, arrays: renamed(arrays["strangers"], "object"),
    "means of fewer classes": lambda value, arrays: scattered(arrays, means=np.ones((2, 5), "f4")),
    "axes of other nets": lambda value, arrays: scattered(arrays, axes=np.ones((9, 5), "f4")),
    "means on fewer axes": lambda value, arrays: scattered(arrays, means=np.ones((3, 4), "f4")),
    "flat means": lambda value, arrays: scattered(arrays, means=np.ones(3, "f4")),
    "means that are none": lambda value, arrays: scattered(arrays, means=np.full((3, 5), np.nan, "f4")),
    "no spread": lambda value, arrays: scattered(arrays, spread=np.zeros(5, "f4")),
    "a field more": lambda value, arrays: scattered(arrays, evil=np.ones(5, "f4")),
    "a rule of more signs": lambda value, arrays: value["strangers"].update(means=[0.0] * 3, deviations=[1.0] * 3),
    "no deviation": lambda value, arrays: value["strangers"].update(deviations=[1.0, 0.0]),
    "a threshold beyond reach": lambda value, arrays: value["strangers"].update(threshold=2.0),
    "a slope in words": lambda value, arrays: value["strangers"].update(slope="steep"),
    "an endless slope": lambda value, arrays: value["strangers"].update(slope=float("inf")),
    "an unknown field": lambda value, arrays: value["strangers"].update(evil=1),
}


def test_a_rule_for_strangers_is_read(sound: Path, tmp_path: Path) -> None:
    value, arrays = read(sound)
    with_strangers(value, arrays)
    prediction = wingbar.load(write(tmp_path / "model", value, arrays)).predict(np.full((40, 60, 3), 99, np.uint8))
    assert prediction.known is not None and 0 <= prediction.known <= 1 and prediction.least_known == 0.5
    scattered(arrays, axes=np.full((256, 5), 3e38, "f4"))
    prediction = wingbar.load(write(tmp_path / "long", value, arrays)).predict(np.full((40, 60, 3), 99, np.uint8))
    assert prediction.known is not None and 0 <= prediction.known <= 1


@pytest.mark.parametrize("what", STRANGE_CHANGES)
def test_a_rule_for_strangers_that_does_not_fit_is_refused(sound: Path, tmp_path: Path, what: str) -> None:
    value, arrays = read(sound)
    with_strangers(value, arrays)
    STRANGE_CHANGES[what](value, arrays)
    with in_time(what), pytest.raises(RunError, match=r"recognizer\.json|\.safetensors"):
        wingbar.load(write(tmp_path / "model", value, arrays))


LINEAGES = {
    "levels": ["class", "kind"],
    "rows": [["wren", "small"], ["robin", "small"], ["owl", ""]],
    "scores": [[0.9, 0.95], [0.6, 0.0]],
    "right": [0, 2],
}
LINEAGE_CHANGES: dict[str, dict[str, Any]] = {
    "no levels": {"levels": []},
    "a thousand levels": {"levels": ["kind"] * 1000},
    "rows of other classes": {"rows": [["wren", ""], ["robin", ""], ["cat", ""]]},
    "a row too short": {"rows": [["wren", "small"], ["robin"], ["owl", ""]]},
    "names that are none": {"rows": [["wren", 3], ["robin", None], ["owl", ""]]},
    "rows that are none": {"rows": [1, 2, 3]},
    "scores beyond reach": {"scores": [[0.9, 7.0], [0.6, 0.0]]},
    "scores that are none": {"scores": [[0.9, float("nan")], [0.6, 0.0]]},
    "scores in words": {"scores": [["much", 0.0], [0.6, 0.0]]},
    "more scores than answers": {"right": [0]},
    "answers beyond the levels": {"right": [0, 3]},
    "a tree of itself": {"levels": {"class": "class"}},
}


def test_lineages_are_read_and_what_does_not_fit_is_refused(sound: Path, tmp_path: Path) -> None:
    value, arrays = read(sound)
    value["lineages"] = LINEAGES
    prediction = wingbar.load(write(tmp_path / "model", value, arrays)).predict(np.full((40, 60, 3), 99, np.uint8))
    assert prediction.answer().name is None and prediction.answer(0.5).level in ("class", "kind", None)
    for number, (what, changes) in enumerate(LINEAGE_CHANGES.items()):
        value["lineages"] = LINEAGES | changes
        with in_time(what), pytest.raises(RunError, match=r"recognizer\.json: lacks or misstates"):
            wingbar.load(write(tmp_path / str(number), value, arrays))
    value["lineages"] = LINEAGES
    for number, held_out in enumerate(({"cat": [0.5]}, {"wren": [0.9, 0.1]}, {"wren": [7.0]}, {"wren": "much"}, [0.5])):
        value["held_out_by_class"] = held_out
        with pytest.raises(RunError, match=r"recognizer\.json: lacks or misstates"):
            wingbar.load(write(tmp_path / f"by-class-{number}", value, arrays))
    value["held_out_by_class"] = {}
    for number, lineages in enumerate(({"levels": ["class"]}, None, "none")):
        value["lineages"] = lineages
        with pytest.raises(RunError, match=r"recognizer\.json: lacks or misstates"):
            wingbar.load(write(tmp_path / f"part-{number}", value, arrays))


def test_numbers_too_large_to_add_up_are_no_answer(sound: Path, tmp_path: Path) -> None:
    value, arrays = read(sound)
    arrays["parts"]["head.weight"].fill(3e38)
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    with pytest.raises(RunError, match=r"infinite numbers|what its nets answer"):
        wingbar.load(write(tmp_path / "model", value, arrays)).predict(noise)


@pytest.mark.parametrize("name", ["recognizer.json", "picture.safetensors", "alignment.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device", "loop", "folder", "giant"])
def test_what_is_no_file_is_refused_and_not_waited_for(sound: Path, tmp_path: Path, name: str, kind: str) -> None:
    folder = write(tmp_path / "model", *read(sound))
    path = folder / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "giant":
        path.touch()
        os.truncate(path, 1 << 40)  # sparse: takes no room on the disk
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    with in_time(kind), pytest.raises(RunError, match=str(folder)):
        wingbar.load(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "NaN", '"\\ud800"'])
def test_json_that_breaks_readers_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "recognizer.json").write_text(text)
    with pytest.raises(RunError, match=r"recognizer\.json"):
        wingbar.load(tmp_path)


@pytest.mark.parametrize("what", ["no net", "a longer head", "no such layer", "a locator without bias"])
def test_an_export_of_a_bad_model_is_refused(sound: Path, tmp_path: Path, what: str) -> None:
    value, arrays = read(sound)
    CHANGES[what](value, arrays)
    with pytest.raises(RunError, match=r"recognizer\.json|\.safetensors"):
        export(write(tmp_path / "model", value, arrays), tmp_path / "onnx")


def onnx_model(folder: Path, sound: Path, content: bytes) -> Path:
    """An export with right checksums whose every net is ``content``."""
    value, arrays = read(sound)
    names = ("picture", "object", "parts")
    write(folder, {**value, "onnx": dict.fromkeys(names, hashlib.sha256(content).hexdigest())}, arrays)
    for name in names:
        (folder / f"{name}.onnx").write_bytes(content)
    return folder


def graph(location: str | None) -> bytes:
    """A sound net of another task; its weights lie in another file where a ``location`` is given."""
    from onnx import StringStringEntryProto, TensorProto, helper

    weight = helper.make_tensor("w", TensorProto.UINT8, [1], b"\1", raw=True)
    if location:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.append(StringStringEntryProto(key="location", value=location))
    ends = [helper.make_tensor_value_info(name, TensorProto.UINT8, ["n"]) for name in ("pixels", "logits")]
    made = helper.make_graph([helper.make_node("Add", ["pixels", "w"], ["logits"])], "g", ends[:1], ends[1:], [weight])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


@pytest.mark.parametrize("what", ["junk", "empty", "another task", "outside", "absolute"])
def test_a_strange_onnx_file_is_refused_by_name(sound: Path, tmp_path: Path, what: str) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "secret").write_bytes(b"\7" * 64)
    content = {
        "junk": b"\x08\x07junk", "empty": b"", "another task": graph(None), "outside": graph("../secret"),
        "absolute": graph(str(tmp_path / "secret")),
    }[what]  # fmt: skip
    with pytest.raises(RunError, match=r"\.onnx: cannot be run"):
        wingbar.load(onnx_model(tmp_path / "model", sound, content), runtime="onnx")
