"""Every file of a run folder cut, flipped, deleted or another run's, one at a time: noticed, named, made anew."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save

import wingbar
from wingbar._system.files import OUTPUT_MARK, read_record, write_record
from wingbar.config import Config
from wingbar.errors import RunError
from wingbar.evaluation.evaluate import evaluate
from wingbar.guide.evaluation import read_evaluation
from wingbar.learning.checkpoint import Checkpoint
from wingbar.model.folder import read_model
from wingbar.model.save import SEEN
from wingbar.steps import settings_of
from wingbar.steps.alignment import AlignedParts
from wingbar.steps.box_regression import ObjectBoxes
from wingbar.steps.data import Pictures
from wingbar.steps.filtering import Patches
from wingbar.steps.fusion import FusionWeights
from wingbar.steps.localization import MapBoxes
from wingbar.steps.nets import TrainedNet
from wingbar.steps.occasions import Occasions
from wingbar.steps.parts import Parts
from wingbar.steps.principal import PrincipalMaps
from wingbar.steps.proposals import Proposals
from wingbar.steps.saliency import Saliency
from wingbar.steps.store import StepResult, Store
from wingbar.steps.strangers import Strangers

TELLS_NOTHING = {"lock", "config.toml", "test-split-read.log"}
"""Written for people: no answer comes from them (nor from ``tensorboard/`` and the steps' ``key``)."""


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    at = 2 * len(content) // 3
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_run: Path) -> Path:
    """The small run, evaluated."""
    folder = Path(shutil.copytree(small_run, tmp_path_factory.mktemp("damage") / "run"))
    evaluate(folder)
    return folder


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Path:
    """Another run's files under the same names and the same keys: all its arrays and its evaluation are others."""
    folder = Path(shutil.copytree(run, tmp_path_factory.mktemp("twin") / "run"))
    for path in folder.glob("steps/*/result.json"):
        arrays = path.with_suffix(".safetensors")
        content = save({**load_arrays(arrays.read_bytes()), "other": np.zeros(1)})
        arrays.write_bytes(content)
        write_record(path, {**read_record(path), "sha256": hashlib.sha256(content).hexdigest()})
    for path in folder.glob("model/*.safetensors"):
        path.write_bytes(flip(path.read_bytes()))
    card = read_record(folder / "model" / "recognizer.json")
    other_card = {**card, "sha256": dict.fromkeys(card["sha256"], "0" * 64)}
    write_record(folder / "model" / "recognizer.json", other_card)
    write_record(folder / "evaluation.json", {**read_record(folder / "evaluation.json"), "model": "another"})
    return folder


def damages(path: Path, other: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What can befall a file, and how to do it."""
    content = path.read_bytes()
    yield "cut", lambda: path.write_bytes(cut(content))
    yield "flipped", lambda: path.write_bytes(flip(content))
    yield "deleted", path.unlink
    yield "another run's", lambda: path.write_bytes(other.read_bytes())


KINDS: dict[str, type[StepResult]] = {
    "data": Pictures, "occasions": Occasions, "proposals": Proposals, "filternet": TrainedNet, "filtering": Patches,
    "classnet": TrainedNet,
    "saliency": Saliency, "principal": PrincipalMaps, "localization": MapBoxes, "box-regression": ObjectBoxes,
    "objectnet": TrainedNet, "parts": Parts, "alignment": AlignedParts, "partnet": TrainedNet, "fusion": FusionWeights,
    "strangers": Strangers,
}  # fmt: skip
"""The record of each step."""


def test_no_kept_result_is_used_once_it_is_damaged(run: Path, twin: Path) -> None:
    tried = 0
    for path in sorted(run.glob("steps/*/result.*")):
        name, content = path.parent.name, path.read_bytes()
        record = read_record(path.with_name("result.json"))
        for damage, befall in damages(path, twin / path.relative_to(run)):
            collected: list[str] = []
            befall()
            result = Store(run, say=collected.append).read(name, KINDS[name], record["key"], record["made_from"])
            path.write_bytes(content)
            assert result is None, f"{path.relative_to(run)} {damage} was used"
            silent = path.name == "result.json" and damage == "deleted"  # as of a step that was never finished
            assert silent or any(str(path.parent) in text for text in collected), f"{path} {damage} was not named"
            tried += 1
    assert tried == 4 * 2 * 16


def test_no_model_answers_once_a_file_of_it_is_damaged(run: Path, twin: Path) -> None:
    files = sorted(path for path in (run / "model").iterdir() if path.name != SEEN)  # which no answer needs
    assert len(files) == 6
    for path in files:
        content = path.read_bytes()
        for damage, befall in damages(path, twin / "model" / path.name):
            befall()
            with pytest.raises(RunError) as raised:
                wingbar.load(run)
            path.write_bytes(content)
            another_card = path.name == "recognizer.json" and damage == "another run's"
            named = "safetensors: damaged or of another model" if another_card else path.name
            assert named in str(raised.value), (path.name, damage, str(raised.value))


def test_no_figure_is_shown_of_a_damaged_evaluation(run: Path, twin: Path) -> None:
    path, card = run / "evaluation.json", read_model(run).card
    content = path.read_bytes()
    assert read_evaluation(run, card) is not None
    for damage, befall in damages(path, twin / "evaluation.json"):
        befall()
        if damage == "deleted":
            assert read_evaluation(run, card) is None
        else:
            with pytest.raises(RunError, match=r"evaluation\.json.*run `wingbar evaluate` again"):
                read_evaluation(run, card)
        path.write_bytes(content)


def test_what_is_not_checked_tells_nothing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All other files are of kinds that are known to answer nothing; the settings are the model's own."""
    checked = {*run.glob("steps/*/result.*"), *run.glob("model/*"), run / "evaluation.json"}
    rest = {path for path in run.rglob("*") if path.is_file()} - checked
    assert all(
        path.name in (*TELLS_NOTHING, OUTPUT_MARK) or path.name == "key" or path.is_relative_to(run / "tensorboard")
        for path in rest
    )
    config = settings_of(read_model(run).card, run)
    assert isinstance(config, Config) and config.net == "res2net_nano" and config.size == 48


def test_damage_is_named_and_only_what_is_needed_is_done_again(
    tmp_path: Path, run: Path, birds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    config = settings_of(read_model(run).card, run)
    for name in ("steps/saliency/result.safetensors", "steps/fusion/result.json", "model/recognizer.json"):
        (folder / name).write_bytes(flip((folder / name).read_bytes()))
    for name in ("model/object.safetensors", "config.toml", "steps/classnet/key", "lock"):
        (folder / name).unlink()
    before = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("steps/*/result.json")}
    wingbar.train(birds, folder, config, workers=0)
    after = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("steps/*/result.json")}
    assert {name for name in after if after[name] != before[name]} == {"saliency", "fusion"}
    message = capsys.readouterr().err
    assert (
        f"{folder / 'steps/saliency'}: the kept result is damaged" in message and "fusion: the kept result" in message
    )
    for path in (run / "model").iterdir():
        assert (folder / "model" / path.name).read_bytes() == path.read_bytes()
    assert (folder / "config.toml").read_bytes() == (run / "config.toml").read_bytes()


def test_what_follows_a_result_that_was_made_anew_and_differs_is_made_anew(tmp_path: Path) -> None:
    """As on a GPU, where the same training need not give the same bits."""
    made: list[str] = []

    @dataclass(frozen=True, kw_only=True, eq=False)
    class One(StepResult):
        a: np.ndarray

    def go(store: Store, value: float) -> One:
        def compute(name: str, value: float) -> One:
            made.append(name)
            return One(a=np.array([value]))

        first = store.step("first", One, {}, [], lambda: compute("first", value))
        return store.step("second", One, {}, [first], lambda: compute("second", float(first.a[0])))

    go(Store(tmp_path), 1.0)
    go(Store(tmp_path, redo_from="first"), 1.0)
    assert made == ["first", "second", "first", "second"]
    shutil.rmtree(tmp_path / "steps" / "first")
    go(Store(tmp_path), 1.0)  # the same again: what follows still holds
    assert made[4:] == ["first"]
    shutil.rmtree(tmp_path / "steps" / "first")
    assert go(Store(tmp_path), 2.0).a == [2.0]
    assert made[5:] == ["first", "second"]


def test_each_bit_of_a_record_is_vouched_for(tmp_path: Path) -> None:
    path, record = tmp_path / "record.json", {"classes": ["wren", "鳥"], "margin": 0.05, "rule": None, "n": [1, 2]}
    write_record(path, record)
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            result = read_record(path)
        except ValueError:
            continue
        spared = {key: value for key, value in result.items() if key in record}
        assert spared == record, f"bit {bit}"  # white space, or the name of the checksum


@pytest.mark.parametrize("damage", ["cut", "flipped", "another training's", "empty"])
def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path: Path, damage: str) -> None:
    checkpoint = Checkpoint(tmp_path / "training.safetensors", "key")
    assert checkpoint.read() is None
    checkpoint.write({"net.a": torch.arange(1000.0), "net.b": torch.zeros((), dtype=torch.int64)}, {"best": 0})
    tensors, info = checkpoint.read() or ({}, {})
    assert torch.equal(tensors["net.a"], torch.arange(1000.0)) and info == {"best": 0}
    content = checkpoint.path.read_bytes()
    changed = {"cut": cut(content), "flipped": flip(content), "another training's": content, "empty": b""}[damage]
    checkpoint.path.write_bytes(changed)
    key = "another" if damage == "another training's" else "key"
    with pytest.raises(RunError, match=r"training\.safetensors: damaged, or another training's"):
        Checkpoint(checkpoint.path, key).read()


def test_a_model_and_the_steps_of_another_training_are_not_taken_for_one(
    tmp_path: Path, run: Path, birds: Path
) -> None:
    """A training begun with other settings leaves the old model in place until it is done; its cut is another."""
    from wingbar.data import load as load_data
    from wingbar.steps import held_out

    folder = Path(shutil.copytree(run, tmp_path / "run"))
    card = read_model(run).card
    config, trained_on = settings_of(card, run), card.data
    dataset, store = load_data(birds), Store(folder)
    assert len(held_out(dataset, config, store, trained_on)[1]) == 6
    path = folder / "steps" / "data" / "result.json"
    record = json.loads(path.read_text())
    del record["checksum"]
    write_record(path, {**record, "key": "of other settings"})
    with pytest.raises(RunError, match="of a training begun since"):
        held_out(dataset, config, store, trained_on)
    with pytest.raises(RunError, match="was not trained on the pictures"):
        held_out(dataset, config, store, replace(trained_on, key="another data set's"))
