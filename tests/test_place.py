"""The list of a place from every door: Python, `predict`, `predict-many`, `--watch`, occasions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import made_up
from pyarrow import parquet

import wingbar
from wingbar.bulk.job import BulkJob
from wingbar.bulk.settings import BulkSettings
from wingbar.cli import main
from wingbar.cli.models import described
from wingbar.errors import ConfigError, RunError
from wingbar.opam.place import at_place
from wingbar.prediction import Prediction, of_one_occasion
from wingbar.recognizer import Recognizer

GREY = np.full((40, 50, 3), 200, np.uint8)
SCORES = {"wren": 0.6, "robin": 0.3, "owl": 0.1}


@pytest.fixture
def recognizer(tmp_path: Path) -> Recognizer:
    return made_up(tmp_path / "model")


def test_scores_are_of_the_listed_classes_and_the_rest_is_told(recognizer: Recognizer) -> None:
    plain, listed = recognizer.predict(GREY), recognizer.predict(GREY, only=["robin", "wren"])
    assert set(listed.scores) == {"robin", "wren"} and sum(listed.scores.values()) == pytest.approx(1)
    assert listed.outside == pytest.approx(plain.scores["owl"]) and listed.everywhere == plain.scores
    assert listed.scores["robin"] / listed.scores["wren"] == pytest.approx(plain.scores["robin"] / plain.scores["wren"])
    assert (listed.streams, listed.object_box, listed.known) == (plain.streams, plain.object_box, plain.known)
    answer = listed.to_dict()
    assert (answer["listed"], answer["outside"]) == (
        2,
        round(plain.scores["owl"], 6),
    ) and "listed" not in plain.to_dict()
    prior = {"wren": 5.0, "robin": 1.0, "owl": 1.0}
    assert recognizer.predict(GREY, prior=prior).scores == pytest.approx(at_place(plain.scores, prior))
    both = recognizer.predict([GREY, GREY], only=["wren", "owl"], prior=prior)
    assert [set(one.scores) for one in both] == [{"wren", "owl"}] * 2
    with pytest.raises(ConfigError, match=r"'oowl' is no class of the model\. Did you mean 'owl'"):
        recognizer.predict(GREY, only=["oowl"])


def test_candidates_are_told_without_the_prior() -> None:
    """A class that is rare at the place stays a candidate: what held-out pictures promise is not given away."""
    prediction = Prediction("x", (9, 9), SCORES, held_out=tuple(np.linspace(0.2, 0.9, 50).tolist()))
    assert prediction.candidates() == ("wren", "robin")
    rare = prediction.at({"wren": 1000.0, "robin": 1.0, "owl": 2000.0})
    assert rare.label == "wren" and set(rare.candidates()) == {"wren", "robin"}
    listed = prediction.at({"robin": 1.0, "owl": 1.0})
    assert listed.candidates() == ("robin",) and listed.outside == pytest.approx(0.6)
    assert listed.at({"wren": 1.0}).scores == {"wren": 1.0}  # from what the model said, not from the last list
    broken = Prediction("x", error="damaged")
    assert broken.at({"wren": 1.0}) is broken


def test_people_are_told_what_the_list_left_out() -> None:
    prediction = Prediction("x.jpg", (9, 9), SCORES, (0, 0, 9, 9)).at({"robin": 1.0, "owl": 1.0})
    assert "robin 75.0%, owl 25.0%" in described(prediction, 5)
    assert "not on the list: 60.0% for other classes, most for wren" in described(prediction, 5)
    assert "list" not in described(Prediction("x.jpg", (9, 9), SCORES, (0, 0, 9, 9)).at(SCORES), 5)
    strange = replace(prediction, known=0.1, least_known=0.5)
    assert "none of the 3 classes" in described(strange, 5) and "none of 3 classes" in repr(strange)


def test_one_answer_to_an_occasion_says_it_too() -> None:
    at = [Prediction(path, (9, 9), SCORES).at({"robin": 1.0, "owl": 1.0}) for path in ("a", "b")]
    answer = of_one_occasion(at)
    assert (answer["label"], answer["listed"], answer["outside"]) == ("robin", 2, 0.6)


def test_both_commands_read_the_lists(small_run: Path, birds: Path, tmp_path: Path, capsys) -> None:
    classes = wingbar.load(small_run).classes
    picture = next(birds.rglob("*.jpg"))
    (tmp_path / "list.txt").write_text(f"{classes[0]}\n{classes[2]}\nyeti\n")
    (tmp_path / "place.csv").write_text(f"label,prior\n{classes[0]},2\n{classes[2]},1\n")
    place = ["--only", str(tmp_path / "list.txt"), "--prior", str(tmp_path / "place.csv")]
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(small_run), str(picture), "--json", *place])
    out, err = capsys.readouterr()
    assert ended.value.code == 0 and "'yeti' is no class" in err and "2 of the model's 3 classes" in err
    answer = json.loads(out)
    assert set(answer["scores"]) == {classes[0], classes[2]} and answer["listed"] == 2
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(picture.read_bytes())
    many = ["predict-many", str(small_run), str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--format", "parquet"]
    with pytest.raises(SystemExit):
        main([*many, *place])
    [file] = (tmp_path / "out").glob("*.parquet")
    [row] = parquet.read_table(file).to_pylist()
    assert (row["listed"], row["outside"], dict(row["scores"])) == (2, answer["outside"], answer["scores"])


def test_answers_of_another_place_are_not_mixed_in(recognizer: Recognizer, birds: Path, tmp_path: Path) -> None:
    list(BulkJob(recognizer, birds / "images", tmp_path / "out", BulkSettings(only=["wren"])).run())
    assert BulkJob(recognizer, birds / "images", tmp_path / "out", BulkSettings(only=["wren"])).answered > 0
    for other in (BulkSettings(), BulkSettings(only=["owl"]), BulkSettings(prior={"wren": 2.0})):
        with pytest.raises(RunError, match="other settings"):
            BulkJob(recognizer, birds / "images", tmp_path / "out", other)
