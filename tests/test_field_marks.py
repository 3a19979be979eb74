"""Field marks from end to end on drawn birds: too small to be right, but complete."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import wingbar
from wingbar.check.audit import doubts
from wingbar.check.doubts import doubtful_labels
from wingbar.cli import main
from wingbar.config import Config
from wingbar.data import load as load_data
from wingbar.errors import ConfigError, RunError
from wingbar.evaluation.answers import answers_report
from wingbar.images import read_picture
from wingbar.model.field_marks import FieldMarksOutput, read_field_marks
from wingbar.model.folder import read_model
from wingbar.opam.calibration import held_folds
from wingbar.opam.joint import JointHead, Known, fit_heads
from wingbar.pipeline import step_names
from wingbar.prediction import of_one_occasion
from wingbar.steps.joint import teaching_folds

SMALL = Config(
    method="field-marks",
    net="res2net_nano",
    weights="none",
    size=48,
    epochs=1,
    follow_epochs=1,
    batch_size=8,
    workers=0,
    validation=0.6,  # enough held-out pictures to tell strangers by
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, birds: Path) -> Path:
    folder = tmp_path_factory.mktemp("marks") / "run"
    wingbar.train(birds, folder, SMALL, quiet=True)
    return folder


def pictures(birds: Path) -> list[Path]:
    return [sample.path for sample in load_data(birds).split("test")]


def test_every_step_is_kept_and_nothing_is_done_twice(run: Path, birds: Path) -> None:
    def stamps() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in run.glob("steps/*/result.json")}

    before = stamps()
    assert set(before) == set(step_names(SMALL))
    wingbar.train(birds, run, SMALL, quiet=True)
    assert stamps() == before


def test_a_size_whose_maps_are_too_small_is_told_before_anything_is_computed(tmp_path: Path, birds: Path) -> None:
    small = replace(SMALL, net="mobilenetv2_100", size=64)
    with pytest.raises(ConfigError, match=r"no pictures of 64 px .*: maps of 2 x 2 cells .* Choose another size"):
        wingbar.train(birds, tmp_path / "run", small, quiet=True)
    assert not (tmp_path / "run" / "steps" / "proposals").exists()


def test_a_prediction_has_an_object_marks_and_streams(run: Path, birds: Path) -> None:
    recognizer = wingbar.load(run)
    assert recognizer.card.method == "field-marks" and recognizer.card.nets == ("views",)
    heads = {name: load_file(run / "model" / f"{name}.safetensors") for name in ("views", "second")}
    biases = heads["views"]["head.bias"] + heads["second"]["bias"]
    for prediction in recognizer.predict_many(pictures(birds)):
        x1, y1, x2, y2 = prediction.object_box
        assert 0 <= x1 < x2 <= prediction.size[0] and 0 <= y1 < y2 <= prediction.size[1]
        assert [part.cluster for part in prediction.parts] == list(range(len(recognizer.card.mark_sides)))
        assert list(prediction.streams) == ["picture", "object", "parts", "joint"]
        assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-4)
        # The stream of whole pictures: the evidence's means and the biases of both heads.
        logits = prediction.evidence.mean((1, 2)) + biases / recognizer.card.temperatures["picture"]
        odds = np.log(list(prediction.streams["picture"].values()))
        np.testing.assert_allclose(odds - odds.mean(), logits - logits.mean(), atol=1e-3)


def test_strangers_are_told_by_the_model_and_by_its_export_alike(run: Path, birds: Path) -> None:
    recognizer = wingbar.load(run)
    rule = recognizer.card.strangers
    assert rule is not None and set(recognizer.strangers) == {"object", "parts"}
    predictions = recognizer.predict(pictures(birds))
    for prediction in predictions:
        assert prediction.known is not None and 0 <= prediction.known <= 1
        assert prediction.stranger == (prediction.known < rule.threshold) == prediction.to_dict()["stranger"]
    fast = recognizer.predict(pictures(birds)[0], views="picture")
    assert fast.known is None and not fast.stranger and "known" not in fast.to_dict()


def test_one_pass_gives_the_answer_of_the_whole_picture(run: Path, birds: Path) -> None:
    recognizer = wingbar.load(run)
    fast = recognizer.predict(pictures(birds)[:3], views="picture")
    for one, whole in zip(fast, recognizer.predict(pictures(birds)[:3]), strict=True):
        assert one.scores == pytest.approx(whole.streams["picture"], abs=1e-5)
        assert list(one.streams) == ["picture"] and one.parts == ()
        np.testing.assert_allclose(one.evidence, whole.evidence, atol=1e-5)
        x1, y1, x2, y2 = one.object_box
        assert 0 <= x1 < x2 <= one.size[0] and 0 <= y1 < y2 <= one.size[1]


def test_the_heads_of_a_model_are_those_that_training_pictures_give(run: Path, birds: Path) -> None:
    recognizer, samples = wingbar.load(run), load_data(birds).split("train")
    card, held = recognizer.card, load_file(run / "steps" / "data" / "result.safetensors")["validation"]
    labels, training = np.array([sample.label for sample in samples]), np.setdiff1d(np.arange(len(samples)), held)

    def read(indices: np.ndarray) -> FieldMarksOutput:
        shown = [read_picture(samples[i].path) for i in indices]
        return read_field_marks(recognizer.runtime, shown, card.picture_size, card.eval_size, card.mark_sides)

    second = load_file(run / "model" / "second.safetensors")
    head = JointHead(second["weight"][None], second["bias"])

    def known(indices: np.ndarray) -> tuple[FieldMarksOutput, Known]:
        output = read(indices)
        own = output.logits["picture"] - head.logits(output.pooled[:, :1])
        return output, Known(own, output.pooled, labels[indices])

    assert recognizer.joint is not None
    (asked, of_held), (_, learnt) = known(held), known(training)
    heads = fit_heads(learnt, of_held, held_folds(len(held), card.settings["seed"], None))
    for kept, expected in (
        (head.weight, heads.second.weight), (head.bias, heads.second.bias),
        (recognizer.joint.weight, heads.joint.weight), (recognizer.joint.bias, heads.joint.bias),
    ):  # fmt: skip
        np.testing.assert_allclose(kept, expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())
    told = [of_held.logits + heads.second_held, asked.logits["object"], asked.logits["parts"], heads.joint_held]
    pooled = load_file(run / "steps" / "pooling" / "result.safetensors")["logits"]
    np.testing.assert_allclose(pooled, np.stack(told), rtol=1e-2, atol=1e-2)


def test_labels_of_validation_pictures_are_judged_by_what_has_not_learnt_them(
    run: Path, birds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The joint head and the second head have learnt from them, the net has not."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr("wingbar.check.doubts.doubts", lambda *given: (asked.append(given), doubts(*given))[1])
    doubtful_labels(run, load_data(birds))
    ((_, _, _, samples, scores, advice),) = asked
    held = load_file(run / "steps" / "data" / "result.safetensors")["validation"]
    assert "by what its net says of object and marks" in advice and f"{len(held)} of the validation cut" in advice
    for prediction, row in zip(wingbar.load(run).predict_many([one.path for one in samples]), scores, strict=True):
        streams = [list(prediction.streams[name].values()) for name in ("object", "parts")]
        np.testing.assert_allclose(row, np.mean(streams, 0), atol=1e-6)


def test_batches_do_not_change_answers(run: Path, birds: Path) -> None:
    recognizer = wingbar.load(run)
    one_by_one = [recognizer.predict(path) for path in pictures(birds)[:5]]
    for one, other in zip(one_by_one, recognizer.predict_many(pictures(birds)[:5], batch_size=5), strict=True):
        assert one.object_box == other.object_box and one.label == other.label
        assert list(one.scores.values()) == pytest.approx(list(other.scores.values()), abs=1e-5)


def test_the_export_says_the_same_without_torch(run: Path, birds: Path, tmp_path: Path) -> None:
    exported = wingbar.export(run, tmp_path / "onnx")
    assert [file.file for file in exported] == ["picture.onnx", "views.onnx"]
    assert max(value for file in exported for value in file.differences.values()) < 1e-4
    ours, theirs = wingbar.load(run), wingbar.load(tmp_path / "onnx", runtime="onnx")
    for one, other in zip(ours.predict_many(pictures(birds)), theirs.predict_many(pictures(birds)), strict=True):
        assert (one.label, one.object_box) == (other.label, other.object_box)
        assert [part.box for part in one.parts] == [part.box for part in other.parts]
        assert one.known == pytest.approx(other.known, abs=1e-4)


def test_a_byte_a_weight_is_still_the_same_net(run: Path, birds: Path, tmp_path: Path) -> None:
    whole = sum(file.stat().st_size for file in (run / "model").glob("*.safetensors")) / 1e6
    assert all(file.megabytes < 0.6 * whole for file in wingbar.export(run, tmp_path / "int8", int8=True))
    ours, theirs = wingbar.load(run), wingbar.load(tmp_path / "int8", runtime="onnx")
    differences = [
        abs(other.scores[name] - score)
        for one, other in zip(ours.predict_many(pictures(birds)), theirs.predict_many(pictures(birds)), strict=True)
        for name, score in one.scores.items()
    ]
    assert max(differences) < 0.2 and sum(differences) / len(differences) < 0.03


Change = Callable[[dict[str, np.ndarray]], object]
WRONG: dict[str, Change] = {
    "a flat weight": lambda head: head.update(weight=head["weight"].ravel()),
    "other features": lambda head: head.update(weight=head["weight"][..., :5]),
    "a longer bias": lambda head: head.update(bias=np.zeros(9, np.float32)),
    "one bias for all": lambda head: head.update(bias=head["bias"][:1]),
    "longer numbers": lambda head: head.update(weight=head["weight"].astype(np.float64)),
    "whole numbers": lambda head: head.update(bias=head["bias"].astype(np.int32)),
    "not numbers": lambda head: head["bias"].fill(np.nan),
    "no bias": lambda head: head.pop("bias"),
    "nothing": lambda head: head.clear(),
    "a field more": lambda head: head.update(evil=np.zeros(3, np.float32)),
}
WRONG_JOINTS: dict[str, Change] = {
    **WRONG,
    "a view more": lambda head: head.update(weight=np.concatenate([head["weight"], head["weight"][:1]])),
    "fewer classes": lambda head: head.update(weight=head["weight"][:, :2], bias=head["bias"][:2]),
}
WRONG_SECONDS: dict[str, Change] = {
    **WRONG,
    "fewer classes": lambda head: head.update(weight=head["weight"][:2], bias=head["bias"][:2]),
    "one class": lambda head: head.update(weight=head["weight"][:1], bias=head["bias"][:1]),
}
WRONG_HEADS = [
    pytest.param(file, wrong, id=f"{file}: {what}")
    for file, wrongs in (("joint", WRONG_JOINTS), ("second", WRONG_SECONDS))
    for what, wrong in wrongs.items()
]


@pytest.mark.parametrize(("file", "wrong"), WRONG_HEADS)
def test_a_head_that_does_not_fit_is_refused(run: Path, tmp_path: Path, file: str, wrong: Change) -> None:
    model = tmp_path / "model"
    shutil.copytree(run / "model", model)
    head = {name: array.copy() for name, array in load_file(model / f"{file}.safetensors").items()}
    wrong(head)
    content = save({name: np.ascontiguousarray(array) for name, array in head.items()})
    (model / f"{file}.safetensors").write_bytes(content)
    card = json.loads((model / "recognizer.json").read_text())
    card["sha256"][file] = hashlib.sha256(content).hexdigest()
    card.pop("checksum", None)  # of the card as it was
    (model / "recognizer.json").write_text(json.dumps(card))
    with pytest.raises(RunError, match=rf"recognizer\.json|{file}\.safetensors"):
        wingbar.load(model)


def test_evaluation_pools_combinations_as_the_model_does(run: Path) -> None:
    evaluation = wingbar.evaluate(run)
    assert evaluation.combinations["picture+object+parts+joint"] == evaluation.classification.top1
    assert evaluation.localization is not None and evaluation.parts is not None
    assert evaluation.evidence is not None and 0 < evaluation.evidence.pictures <= 50
    assert wingbar.evaluate(run, erased=0).evidence is None
    with pytest.raises(ConfigError, match="erased"):
        wingbar.evaluate(run, erased=-1)


def test_pictures_of_unknown_classes_are_shown_as_strangers(run: Path, birds: Path, tmp_path: Path) -> None:
    data = load_data(birds)
    data = replace(data, classes=(*data.classes[:2], "penguin"))
    report = wingbar.evaluate(run, data, out=tmp_path, erased=0).strangers
    assert report is not None and report.pictures == 4 and report.known is not None and report.caught is not None
    assert 0 <= report.known.oscr <= report.known.auroc.value <= 1
    strangers = [prediction.stranger for prediction in wingbar.load(run).predict(pictures(birds)[8:])]
    assert report.caught.value == np.mean(strangers)


def test_answers_at_an_accuracy_are_told_everywhere_alike(
    run: Path, birds: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    classes, table = load_data(birds).classes, tmp_path / "kinds.csv"
    table.write_text(f"class,kind\n{classes[0]},\n{classes[1]},one\n{classes[2]},one\n")
    shutil.copytree(run, tmp_path / "run")
    recognizer = wingbar.train(birds, tmp_path / "run", SMALL, taxonomy=table, quiet=True)
    kept = recognizer.card.lineages
    assert kept is not None and kept.levels == ("class", "kind") and len(kept.scores) == 21
    predictions = recognizer.predict(pictures(birds))
    answers = [prediction.answer(0.4) for prediction in predictions]
    assert any(answer.name for answer in answers)
    for prediction, answer in zip(predictions, answers, strict=True):
        assert (answer.name, answer.level) in ((prediction.label, "class"), ("one", "kind"), (None, None))
        together = sum(prediction.scores[name] for name in answer.classes)
        assert not answer.name or answer.score == pytest.approx(together, abs=1e-5)
        assert prediction.to_dict(accuracy=0.4)["answer"]["text"] == answer.text
    with pytest.raises(SystemExit, match="0"):
        main(["predict", str(tmp_path / "run"), str(pictures(birds)[0]), "--accuracy", "0.4"])
    assert answers[0].text in capsys.readouterr().out or predictions[0].stranger
    with pytest.raises(SystemExit, match="2"):
        main(["predict", str(tmp_path / "run"), str(pictures(birds)[0]), "--accuracy", "95"])
    labels = [classes[sample.label] for sample in load_data(birds).split("test")]
    report = answers_report(predictions, labels, 0.4)
    assert report is not None
    assert sum(level.share for level in report.levels.values()) == pytest.approx(report.any_level.share)


def test_a_refit_keeps_the_pooling_and_learns_from_all_pictures(run: Path, birds: Path) -> None:
    before = read_model(run).card
    after = wingbar.train(birds, run, SMALL, quiet=True, refit=True).card
    assert dict(after.fusion_weights) == dict(before.fusion_weights) and after.temperatures == before.temperatures
    assert after.strangers == before.strangers
    first, again = (
        load_file(run / "steps" / name / "result.safetensors")["contraction"] for name in ("joint", "refit-joint")
    )
    assert (first < 1).all()
    np.testing.assert_array_equal(again, np.full_like(again, first.mean()))
    assert (after.data.training, after.data.validation) == (36, 0)
    stamps = {path: path.stat().st_mtime_ns for path in run.glob("steps/refit-*/result.json")}
    assert wingbar.train(birds, run, SMALL, quiet=True, refit=True).card.digest() == after.digest()
    assert stamps and stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_heads_learn_from_some_held_out_pictures_of_each_class_and_never_from_their_occasion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wingbar.steps.reading.PER_CLASS", 5)
    labels, groups = np.repeat([0, 1, 2], 12), np.arange(36) // 2
    folds = teaching_folds(labels, groups, 0)
    assert sorted(i for _, asked in folds for i in asked) == list(range(36))
    for taught, asked in folds:
        assert not set(groups[taught]) & set(groups[asked])
    assert sorted({int(i) for taught, _ in folds for i in taught}) == [*range(5), *range(12, 17), *range(24, 29)]
    assert teaching_folds(labels[:9], groups[:9], 0) == []


def test_pictures_of_one_occasion_are_answered_together(run: Path, birds: Path, capsys: pytest.CaptureFixture) -> None:
    some = pictures(birds)[:3]
    answer = of_one_occasion(wingbar.load(run).predict([*some, birds / "none.jpg"]))
    assert len(answer["paths"]) == 4 and answer["label"] == next(iter(answer["scores"])) and 0 <= answer["known"] <= 1
    assert "error" in of_one_occasion(wingbar.load(run).predict([birds / "none.jpg", birds / "nor.jpg"]))
    with pytest.raises(SystemExit, match="0"):
        main(["predict", str(run), *map(str, some), "--by-occasion", "--json"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(line["paths"]) for line in lines] == [1, 1, 1]  # drawn pictures say no time
