"""The main job end to end on drawn birds: train, reuse, redo, refit, move, predict, evaluate."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small import SMALL

import wingbar
from wingbar.data import load as load_data
from wingbar.data.synthetic import write_dataset
from wingbar.errors import ConfigError, DataError, PictureError, RunError
from wingbar.evaluation.evaluate import evaluate
from wingbar.evaluation.summary import table
from wingbar.learning.hardware import threads_for
from wingbar.model.folder import read_model
from wingbar.opam.alignment import AlignmentSettings
from wingbar.opam.filtering import FilterSettings
from wingbar.opam.parts import PartSettings
from wingbar.pipeline import OPAM_STEPS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_run: Path) -> Path:
    """A copy of the trained run, to be written to."""
    return Path(shutil.copytree(small_run, tmp_path_factory.mktemp("runs") / "opam"))


def stamps(run: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in run.glob("steps/*/result.json")}


def model_bytes(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / "model").glob("*.safetensors")}


def test_every_step_leaves_a_result_and_nothing_is_pickled(run: Path) -> None:
    assert set(stamps(run)) == set(OPAM_STEPS)
    kinds = {path.suffix for path in run.rglob("*") if path.is_file() and "tensorboard" not in path.parts}
    assert kinds <= {".json", ".safetensors", ".toml", ""}
    assert (run / "tensorboard" / "classnet").is_dir()


def test_an_evaluation_of_another_model_is_dropped(run: Path, birds: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    evaluate(folder)
    wingbar.train(birds, folder, SMALL, quiet=True)
    assert (folder / "evaluation.json").exists()
    other = replace(read_model(folder).card, fusion_weights={"picture": 1.0, "object": 0.0, "parts": 0.0})
    other.write(folder / "model")
    assert read_model(folder).card == other  # sound, but another model
    wingbar.train(birds, folder, SMALL, quiet=True)
    assert not (folder / "evaluation.json").exists()


def test_an_unchanged_run_does_nothing_again(run: Path, birds: Path) -> None:
    before = stamps(run)
    wingbar.train(birds, run, SMALL, quiet=True)
    assert stamps(run) == before


def test_a_changed_setting_redoes_what_depends_on_it(tmp_path: Path, run: Path, birds: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    before = stamps(copy)
    wingbar.train(birds, copy, SMALL, quiet=True, alignment=AlignmentSettings(heads="per-cluster"))
    after = stamps(copy)
    assert {name for name in after if after[name] != before[name]} == {"partnet", "fusion", "strangers"}


def test_redo_from_a_step(tmp_path: Path, run: Path, birds: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    before = stamps(copy)
    wingbar.train(birds, copy, SMALL, quiet=True, redo_from="parts")
    after = stamps(copy)
    assert {name for name in after if after[name] != before[name]} == {
        "parts",
        "alignment",
        "partnet",
        "fusion",
        "strangers",
    }
    assert model_bytes(copy) == model_bytes(run)  # the same seed gives the same model
    with pytest.raises(ConfigError, match="Did you mean 'parts'"):
        wingbar.train(birds, copy, SMALL, quiet=True, redo_from="part")
    with pytest.raises(ConfigError, match="no step 'filternet'"):
        wingbar.train(birds, copy, SMALL, quiet=True, redo_from="filternet", filtering=FilterSettings(enabled=False))


def test_a_prediction_says_all_that_it_promises(run: Path, birds: Path) -> None:
    recognizer = wingbar.load(run)
    sample = load_data(birds).split("test")[0]
    prediction = recognizer.predict(sample.path)
    assert prediction.label in recognizer.classes and prediction.score == max(prediction.scores.values())
    assert sum(prediction.scores.values()) == pytest.approx(1, abs=1e-5)
    assert set(prediction.streams) == {"picture", "object", "parts"}
    for scores in (*prediction.streams.values(), *(part.scores for part in prediction.parts)):
        assert set(scores) == set(recognizer.classes) and sum(scores.values()) == pytest.approx(1, abs=1e-5)
    assert prediction.saliency.shape == (72, 96) and prediction.saliency.dtype == np.float32
    assert prediction.saliency.min() >= 0 and prediction.saliency.max() <= 1
    assert len(prediction.parts) == 2 and sorted(part.cluster for part in prediction.parts) == [0, 1]
    for x1, y1, x2, y2 in (prediction.object_box, *(part.box for part in prediction.parts)):
        assert 0 <= x1 < x2 <= 96 and 0 <= y1 < y2 <= 72
    json.dumps(prediction.to_dict())


def test_any_source_of_a_picture_gives_the_same(run: Path, birds: Path) -> None:
    recognizer, path = wingbar.load(run), load_data(birds).split("test")[1].path
    expected = recognizer.predict(path)
    with Image.open(path) as image:
        sources = [str(path), path.read_bytes(), image.copy(), np.asarray(image.convert("RGB"))]
    for source in sources:
        assert recognizer.predict(source).scores == expected.scores


def test_batches_and_bad_pictures_change_no_other_prediction(run: Path, birds: Path, tmp_path: Path) -> None:
    recognizer = wingbar.load(run)
    paths = [sample.path for sample in load_data(birds).split("test")[:4]]
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    predictions = list(recognizer.predict_many([paths[0], bad, *paths[1:]], batch_size=3))
    assert [prediction.error is None for prediction in predictions] == [True, False, True, True, True]
    assert predictions[1].to_dict().keys() == {"path", "error"} and "bad.jpg" in str(predictions[1].error)
    for path, prediction in zip(paths, [predictions[0], *predictions[2:]], strict=True):
        alone = recognizer.predict(path)
        assert alone.object_box == prediction.object_box
        np.testing.assert_allclose(list(alone.scores.values()), list(prediction.scores.values()), atol=1e-5)
    with pytest.raises(PictureError, match=r"bad\.jpg"):
        recognizer.predict(bad)
    assert list(recognizer.predict_many([])) == []


def test_the_model_folder_moves_and_needs_nothing_else(tmp_path: Path, run: Path, birds: Path) -> None:
    moved = Path(shutil.copytree(run / "model", tmp_path / "elsewhere"))
    path = load_data(birds).split("test")[0].path
    assert wingbar.load(moved).predict(path).scores == wingbar.load(run).predict(path).scores


@pytest.mark.parametrize("name", ["picture", "object", "parts", "alignment"])
def test_a_damaged_model_is_named(tmp_path: Path, run: Path, name: str) -> None:
    folder = Path(shutil.copytree(run / "model", tmp_path / "model"))
    path = folder / f"{name}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match=rf"{name}\.safetensors: damaged"):
        wingbar.load(folder)
    path.unlink()
    with pytest.raises(RunError, match=rf"{name}\.safetensors: No such file"):
        wingbar.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"classes": 3}'])
def test_a_damaged_card_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "recognizer.json").write_text(text)
    with pytest.raises(RunError, match=r"recognizer\.json"):
        wingbar.load(tmp_path)


def test_no_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="train one"):
        wingbar.load(tmp_path)


def test_evaluation_agrees_with_the_predictions(run: Path, birds: Path) -> None:
    judged = evaluate(run)
    samples = load_data(birds).split("test")
    recognizer = wingbar.load(run)
    right = [recognizer.predict(s.path).label == recognizer.classes[s.label] for s in samples]
    assert list(judged.correct) == right
    assert judged.classification.top1 == pytest.approx(np.mean(right))
    assert judged.combinations["picture+object+parts"] == pytest.approx(np.mean(right))
    assert judged.localization is not None and judged.parts is not None
    record = json.loads((run / "evaluation.json").read_text())
    assert record["correct"] == right and record["source"] == str(birds.resolve())
    assert [one["key"] for one in record["pictures"]] == [sample.key for sample in samples]
    assert [one["label"] == one["predicted"] for one in record["pictures"]] == right
    assert "centre box" in table(judged) and "top-1" in table(judged)
    assert (run / "test-split-read.log").read_text().count("\n") >= 1


def test_evaluation_refuses_other_classes(tmp_path: Path, run: Path, birds: Path) -> None:
    other = tmp_path / "other"
    for name in ("a", "b"):
        (other / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (20, 20), (number * 90, 40, 10)).save(other / name / f"{number}.png")
    with pytest.raises(DataError, match="classes are not the model's"):
        evaluate(run, other)


def test_a_bad_picture_among_many_is_skipped_and_named(tmp_path: Path, birds: Path, capsys) -> None:
    copy = Path(shutil.copytree(birds, tmp_path / "birds"))
    victim = load_data(copy).split("train")[3].path
    victim.write_bytes(victim.read_bytes()[:600])
    recognizer = wingbar.train(copy, tmp_path / "run", SMALL, method="plain")
    message = capsys.readouterr().err
    assert "skipped" in message and victim.name in message
    assert recognizer.card.data.training + recognizer.card.data.validation == 35


def test_a_plain_run_predicts_and_boxes_without_parts(tmp_path: Path, birds: Path) -> None:
    recognizer = wingbar.train(birds, tmp_path / "plain", SMALL, quiet=True, method="plain")
    prediction = recognizer.predict(load_data(birds).split("test")[0].path)
    assert set(prediction.streams) == {"picture"} and prediction.parts == ()
    assert prediction.streams["picture"] == pytest.approx(prediction.scores)


def test_refit_learns_from_all_pictures_with_the_choices_made(tmp_path: Path, run: Path, birds: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    recognizer = wingbar.train(birds, copy, SMALL, quiet=True, refit=True)
    assert recognizer.fusion_weights == pytest.approx(wingbar.load(run).fusion_weights)
    assert recognizer.card.rule == wingbar.load(run).card.rule
    assert recognizer.card.data.training == 36 and recognizer.card.data.validation == 0
    assert "refit-partnet" in stamps(copy) and not {"refit-proposals", "refit-fusion"} & set(stamps(copy))
    assert model_bytes(copy) != model_bytes(run)


@pytest.fixture(scope="module")
def few_birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn classes of six training pictures."""
    return write_dataset(tmp_path_factory.mktemp("few") / "birds", classes=2, train=6, test=1, size=(96, 72))


@pytest.mark.parametrize(
    "changes",
    [
        {"filtering": FilterSettings(folds=2, threshold=0.2, cap=5)},
        {"filtering": FilterSettings(enabled=False, cap=5)},
        {"filtering": FilterSettings(scorer="crop", threshold=0.2, cap=5), "proposals": {"limit": 20}},
        {
            "parts": PartSettings(count=3, rule="iou"),
            "alignment": AlignmentSettings(clusters=3, heads="per-cluster", rule="sum"),
        },
    ],
    ids=["out of fold", "unfiltered", "crops", "three parts"],
)
def test_the_options_run(tmp_path: Path, few_birds: Path, changes: dict) -> None:
    recognizer = wingbar.train(few_birds, tmp_path / "run", SMALL, quiet=True, **changes)
    prediction = recognizer.predict(load_data(few_birds).split("test")[0].path)
    assert len(prediction.parts) == recognizer.card.parts.count


def test_boxes_and_keypoints_do_not_reach_training(tmp_path: Path, run: Path, birds: Path) -> None:
    """A data set without them gives the same model, bit for bit."""
    dataset = load_data(birds)
    blind = replace(dataset, samples=tuple(replace(s, box=None, keypoints=()) for s in dataset.samples))
    wingbar.train(blind, tmp_path / "blind", SMALL, quiet=True)
    assert model_bytes(tmp_path / "blind") == model_bytes(run)


def test_a_csv_is_judged_on_its_own_split(tmp_path: Path, birds: Path) -> None:
    samples = load_data(birds).samples
    test = [s for s in samples if s.split == "test"][::4]
    rows = [*(s for s in samples if s.split == "train"), *test]
    lines = ["path,label,split", *(f"{s.path.name},{s.label},{s.split}" for s in rows)]
    for sample in samples:
        shutil.copy(sample.path, tmp_path / sample.path.name)
    (tmp_path / "set.csv").write_text("\n".join(lines))
    wingbar.train(tmp_path / "set.csv", tmp_path / "run", SMALL, quiet=True, method="plain")
    assert evaluate(tmp_path / "run").classification.pictures == len(test)


def test_sizes_that_a_net_refuses_are_told_before_any_training(tmp_path: Path, birds: Path) -> None:
    with pytest.raises(ConfigError, match=r"levit_128s takes no pictures of 96 px"):
        wingbar.train(birds, tmp_path / "run", SMALL, quiet=True, net="levit_128s")


def test_a_device_that_is_not_there_is_told(tmp_path: Path, birds: Path) -> None:
    with pytest.raises(ConfigError, match="device is 'gpu'; it must be one of auto, cpu, cuda, mps"):
        wingbar.train(birds, tmp_path / "run", SMALL, quiet=True, device="gpu")
    with pytest.raises(ConfigError, match="device 'mps'"):  # of Apple's machines
        wingbar.train(birds, tmp_path / "run", SMALL, quiet=True, device="mps")


def test_a_small_net_leaves_a_core_to_its_loaders_and_all_get_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    for parameters in (150_000, 2_200_000):
        with threads_for(parameters):
            pass
    assert threads == [4, 3, 4, 4, 4]
