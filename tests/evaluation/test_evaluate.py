"""A finished model is judged on any labelled pictures. Oracle: the model's own predictions, and the contract."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import untrained
from PIL import Image

import wingbar
from wingbar.data import load as load_data
from wingbar.errors import DataError, RunError
from wingbar.evaluation.labelled import labels_by_name
from wingbar.evaluation.summary import table
from wingbar.model.card import TrainedOn
from wingbar.model.export import export
from wingbar.model.folder import read_model

CLASSES = ("wren", "robin", "owl")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("judged") / "model", "plain", classes=CLASSES, side=32)


@pytest.fixture
def run(model: Path, tmp_path: Path) -> Path:
    """A run's folder, as far as an evaluation sees it; trained on ``tmp_path / "set"``."""
    shutil.copytree(model, tmp_path / "run" / "model")
    card = read_model(model).card
    replace(card, data=TrainedOn("set", str(tmp_path / "set"))).write(tmp_path / "run" / "model")
    return tmp_path / "run"


def draw(folder: Path, classes: Iterable[str] = CLASSES, count: int = 2) -> Path:
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for k in range(count):
            Image.new("RGB", (40, 30), (number * 60, k * 90, 200)).save(folder / name / f"{k}.png")
    return folder


def listed(folder: Path, split: str | None) -> Path:
    """A table beside the class folders."""
    pictures = sorted(path.relative_to(folder) for path in folder.rglob("*.png"))
    lines = [f"{path},{path.parts[0]}" + (f",{split}" if split else "") for path in pictures]
    (folder / "all.csv").write_text("\n".join(["path,label" + (",split" if split else ""), *lines]) + "\n")
    return folder / "all.csv"


def beside(training: Path) -> Path:
    """The folder of the training pictures, with test pictures in it too."""
    return draw(training.parent / "test").parent


LAYOUTS = {
    "a folder a class": lambda place: draw(place),
    "test alone": lambda place: draw(place / "test").parent,
    "one picture a class": lambda place: draw(place, count=1),
    "a table of test pictures": lambda place: listed(draw(place), "test"),
    "a table without splits": lambda place: listed(draw(place), None),
    "test beside too few training pictures": lambda place: beside(draw(place / "train", ["wren", "jay"], 1)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labelled_pictures_alone_are_judged_in_every_layout(run: Path, tmp_path: Path, layout: str) -> None:
    place = LAYOUTS[layout](tmp_path / "new")
    evaluation = wingbar.evaluate(run, place)
    recognizer = wingbar.load(run)
    pictures = sorted(path for path in (tmp_path / "new").rglob("*.png") if "train" not in path.parts)
    right = {f"{path.parent.name}/{path.name}": recognizer.predict(path).label == path.parent.name for path in pictures}
    assert evaluation.classification.pictures == len(pictures) > 0
    result = {"/".join(one.key.split("/")[-2:]): one.predicted == one.label for one in evaluation.pictures}
    assert result == right and evaluation.classification.top1 == pytest.approx(np.mean(list(right.values())))
    assert evaluation.absent == () and not evaluation.unknown and evaluation.whole is ("test" not in layout)
    assert json.loads((run / "evaluation.json").read_text())["correct"] == list(evaluation.correct)
    assert len((run / "test-split-read.log").read_text().splitlines()) == 1


def test_classes_are_found_by_name_and_none_is_dropped_silently(run: Path, tmp_path: Path) -> None:
    draw(tmp_path / "new", ["Wren ", "ROBIN", "jay"], 3)
    evaluation = wingbar.evaluate(run, tmp_path / "new")
    assert evaluation.absent == ("owl",) and evaluation.unknown == {"jay": 3} and evaluation.whole
    assert {one.label for one in evaluation.pictures} == {"wren", "robin"} and len(evaluation.correct) == 6
    shown = table(evaluation)
    assert "No picture shows 1 of the model's classes: 'owl'" in shown and "no test split" in shown
    assert "Left out: 3 pictures of classes that the model does not know: 'jay'" in shown
    record = json.loads((run / "evaluation.json").read_text())
    assert record["absent"] == ["owl"] and record["unknown"] == {"jay": 3}


def test_files_that_are_not_taken_for_pictures_are_told(run: Path, tmp_path: Path) -> None:
    place = draw(tmp_path / "new")
    (place / CLASSES[0] / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0cut short")
    (place / CLASSES[0] / "notes.txt").touch()
    evaluation = wingbar.evaluate(run, place)
    assert len(evaluation.skipped) == 2 and evaluation.classification.pictures == 2 * len(CLASSES)
    result = table(evaluation)
    assert "cut.jpg" in result and "notes.txt" in result


def test_pictures_of_other_classes_alone_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"classes are not the model's. None of 4 pictures.*'jay', 'kite'.*'wren'"):
        wingbar.evaluate(run, draw(tmp_path / "new", ["jay", "kite"]))


@pytest.mark.parametrize(
    ("names", "classes", "labels"),
    [
        (["b", "a"], ["a", "b"], {0: 1, 1: 0}),
        (["caf\u00e9"], ["x", "cafe\u0301"], {0: 1}),
        (["Stra\u00dfe ", "x"], ["STRASSE"], {0: 0}),
        (["crane", "Crane"], ["Crane", "crane"], {0: 1, 1: 0}),
        (["CRANE"], ["Crane", "crane"], {}),  # which of the two, nobody knows
    ],
)
def test_names_are_the_same_where_one_hardly_sees_a_difference(names, classes, labels) -> None:
    assert labels_by_name(names, classes) == labels


def test_the_pictures_of_the_training_are_no_test(run: Path, tmp_path: Path) -> None:
    draw(tmp_path / "set")
    for data in (None, tmp_path / "set"):
        with pytest.raises(DataError, match="no test pictures, and the model was trained on these"):
            wingbar.evaluate(run, data)
    shutil.copytree(tmp_path / "set", tmp_path / "copy")
    from wingbar.steps.store import Store

    card, settings = read_model(run).card, {"validation": 0.2, "seed": 0}
    key = Store(run).key("data", [load_data(tmp_path / "copy").training_fingerprint(), 0.2, 0], [])
    replace(card, settings=settings, data=replace(card.data, key=key)).write(run / "model")
    with pytest.raises(DataError, match="was trained on these"):
        wingbar.evaluate(run, tmp_path / "copy")


def test_data_that_moved_is_told_and_may_be_given(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no longer at .*set.*give labelled pictures, or its new place, as DATA"):
        wingbar.evaluate(run)
    draw(tmp_path / "moved" / "train")
    draw(tmp_path / "moved" / "test")
    assert wingbar.evaluate(run, tmp_path / "moved").classification.pictures == 6


# ---- where it is kept -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["model", "export"])
def test_nothing_is_written_into_a_folder_for_others(model: Path, tmp_path: Path, kind: str) -> None:
    folder, runtime = model, "torch"
    if kind == "export":
        folder, runtime = tmp_path / "onnx", "onnx"
        export(model, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    data, out = draw(tmp_path / "new"), tmp_path / "judged"
    with pytest.raises(RunError, match=r"is a model's folder.*--out DIR"):
        wingbar.evaluate(folder, data, runtime=runtime)
    evaluation = wingbar.evaluate(folder, data, out=out, runtime=runtime)
    assert evaluation.folder == out and {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert {path.name for path in out.iterdir()} >= {"evaluation.json", "test-split-read.log"}


def test_out_is_where_it_is_kept_and_the_run_notes_the_reading_too(run: Path, tmp_path: Path) -> None:
    wingbar.evaluate(run, draw(tmp_path / "new"), out=tmp_path / "judged")
    assert (tmp_path / "judged" / "evaluation.json").is_file() and not (run / "evaluation.json").exists()
    assert (run / "test-split-read.log").read_text() == (tmp_path / "judged" / "test-split-read.log").read_text()


def test_a_run_that_cannot_be_written_to_is_judged_all_the_same(run: Path, tmp_path: Path, monkeypatch) -> None:
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != run and access(path, mode))
    before = sorted(run.rglob("*"))
    evaluation = wingbar.evaluate(run, draw(tmp_path / "new"))
    assert evaluation.folder is None and "Nothing was kept" in table(evaluation) and sorted(run.rglob("*")) == before
