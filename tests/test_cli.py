"""The command line as users meet it: exit codes, messages, streams."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file
from safetensors.torch import save_model

from wingbar.cli import main
from wingbar.cli.models import described
from wingbar.data import load as load_data
from wingbar.nets import create
from wingbar.prediction import Prediction

FAST = [
    "--net", "res2net_nano", "--weights", "none", "--size", "48", "--epochs", "1", "--follow-epochs", "1",
    "--batch-size", "8", "--workers", "0",
]  # fmt: skip


def wingbar(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, birds: Path) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert wingbar("train", birds, "--out", folder, "--quiet", *FAST) == 0
    return folder


def test_training_says_beforehand_what_it_does_and_how_long_it_takes(tmp_path, birds, capsys) -> None:
    assert wingbar("train", birds, "--out", tmp_path / "run", "--method", "plain", *FAST) == 0
    out, err = capsys.readouterr()
    assert out == ""
    plan = err.index("3 classes, 36 training and 12 test pictures"), err.index("steps: data, filternet")
    assert plan[0] < plan[1] < err.index("pictures/s; trainings need about")
    assert "wingbar evaluate" in err


def test_json_is_one_object_a_picture_and_nothing_else(run, birds, capsys) -> None:
    paths = [sample.path for sample in load_data(birds).split("test")[:3]]
    assert wingbar("predict", run, *paths, "--json", "--top", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [json.loads(line) for line in lines]
    assert [one["path"] for one in told] == [str(path) for path in paths]
    for one in told:
        assert len(one["scores"]) == 2 and next(iter(one["scores"])) == one["label"]
        assert len(one["object_box"]) == 4 and len(one["parts"]) == 2


def test_bad_pictures_are_counted_and_named(run, birds, tmp_path, capsys) -> None:
    bad = tmp_path / "notes.txt"
    bad.write_text("no picture")
    good = load_data(birds).split("test")[0].path
    assert wingbar("predict", run, bad, good) == 1
    out, err = capsys.readouterr()
    assert "notes.txt" in err and "1 of 2 pictures could not be read" in err and out.count(str(good)) == 1
    assert wingbar("predict", run, bad) == 2


def test_a_folder_stands_for_its_pictures(run, birds, capsys) -> None:
    folder = load_data(birds).split("test")[0].path.parent
    assert wingbar("predict", run, folder, "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(list(folder.iterdir()))


def test_explanations_have_safe_names_and_bad_pictures_are_counted(run, birds, tmp_path, capsys) -> None:
    good = load_data(birds).split("test")[0].path
    hostile = [tmp_path / name / "x.jpg" for name in ("a", "b")] + [tmp_path / "-rf ; <b>\n鳥.jpg"]
    for path in hostile:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(good.read_bytes())
    bad = tmp_path / "notes.txt"
    bad.write_text("no picture")
    assert wingbar("explain", run, hostile[0], bad, *hostile[1:], "--out", tmp_path / "out") == 1
    out, err = capsys.readouterr()
    drawn = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert drawn == ["0001-x.png", "0003-x.png", "0004-rf-b.png"]
    assert "notes.txt" in err and "1 of 4 pictures could not be read" in err
    assert len(out.splitlines()) == 3 and all("rather than" in line for line in out.splitlines())
    with Image.open(tmp_path / "out" / "0001-x.png") as sheet:
        assert sheet.width == 1200
    assert wingbar("explain", run, bad, "--out", tmp_path / "none") == 2


def test_the_guide_is_written_into_the_run(run, capsys) -> None:
    assert wingbar("guide", run, "--per-class", 2) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(run / "guide" / "index.html") and (run / "guide" / "index.html").is_file()
    assert "looking at 6 of 36 training pictures" in err


def test_evaluation_prints_its_tables(run, capsys) -> None:
    assert wingbar("evaluate", run) == 0
    out = capsys.readouterr().out
    assert "12 test pictures" in out and "centre box" in out and "picture+object+parts" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere", "--out", "x"], "nowhere"),
        (["predict", "nowhere", "x.jpg"], "no model here"),
        (["evaluate", "nowhere"], "no model here"),
        (["explain", "nowhere", "x.jpg", "--out", "y"], "no model here"),
        (["guide", "nowhere"], "no model here"),
        (["train", ".", "--out", "x", "--config", "none.toml"], "no such configuration file"),
        (["tran", ".", "--out", "x"], "no command 'tran'. Did you mean 'train'?"),
    ],
)
def test_mistakes_end_with_two_and_no_traceback(arguments, message, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert wingbar(*arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith("wingbar: ") and "Traceback" not in err


def test_an_unknown_net_is_told_before_any_picture_is_read(tmp_path, birds, capsys) -> None:
    assert wingbar("train", birds, "--out", tmp_path / "run", "--net", "mobilnetv2_100") == 2
    assert "Did you mean 'mobilenetv2_100'" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(Exception, match="no model here"):
        main(["evaluate", "nowhere", "--debug"])


def test_a_mistyped_option_suggests_the_right_one(capsys) -> None:
    assert wingbar("train", "x", "--out", "y", "--epoch", "3") == 2
    assert "--epochs" in "".join(capsys.readouterr())


def test_options_win_over_the_file(tmp_path, birds) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('method = "plain"\nepochs = 7\nseed = 3\n')
    assert wingbar("train", birds, "--out", tmp_path / "run", "--quiet", "--config", settings, *FAST) == 0
    saved = (tmp_path / "run" / "config.toml").read_text()
    assert 'method = "plain"' in saved and "seed = 3" in saved and "\nepochs = 1\n" in saved


@pytest.mark.parametrize(
    "command",
    ["train", "evaluate", "predict", "predict-many", "explain", "guide", "export", "serve", "demo", "backbones"],
)
def test_every_option_is_documented(command: str, capsys) -> None:
    assert wingbar(command, "--help") == 0
    text = capsys.readouterr().out
    options = re.findall(r"^\W*--[a-z]", text, re.MULTILINE)
    assert 0 < len(options) <= 26


def test_a_data_check_ends_with_one_where_a_photograph_leaks(birds, tmp_path, capsys) -> None:
    assert wingbar("data", "check", birds, "--out", tmp_path / "sound") == 0
    out, err = capsys.readouterr()
    assert "| The same photograph in training and test   |     0 |" in out and "index.html" in err
    leaky = Path(shutil.copytree(birds, tmp_path / "leaky"))
    train, test = (load_data(leaky).split(split)[0].path for split in ("train", "test"))
    shutil.copy(train, test)
    assert wingbar("data", "check", leaky, "--out", tmp_path / "found") == 1
    told = json.loads((tmp_path / "found" / "data-check.json").read_text())
    assert [p["path"] for p in told["findings"]["leakage"]["items"][0]["pictures"]] == [
        path.relative_to(leaky).as_posix() for path in (train, test)
    ]


def test_a_data_check_judges_labels_by_pictures_that_the_run_has_not_seen(run, birds, tmp_path, capsys) -> None:
    assert wingbar("data", "check", birds, "--run", run, "--out", tmp_path / "out") == 0
    told = json.loads((tmp_path / "out" / "data-check.json").read_text())["findings"]
    assert "labels-training" not in told and "labels are checked" in (run / "test-split-read.log").read_text()
    told = told["labels-unseen"]
    assert "Judged: 18 pictures" in told["advice"] and "6 of the validation cut and 12 of the test" in told["advice"]
    held = load_file(run / "steps" / "data" / "result.safetensors")["validation"]
    dataset = load_data(birds)
    unseen = {dataset.split("train")[i].key for i in held} | {sample.key for sample in dataset.split("test")}
    assert {p["path"] for item in told["items"] for p in item["pictures"]} <= unseen


def test_a_data_check_judges_training_labels_by_the_weights_that_a_run_started_from(birds, tmp_path, capsys) -> None:
    weights, folder = tmp_path / "start.safetensors", tmp_path / "run"
    save_model(create("res2net_nano", 3).backbone, weights)
    start = ["--method", "plain", *FAST, "--weights", weights]
    assert wingbar("train", birds, "--out", folder, "--quiet", *start) == 0
    assert wingbar("data", "check", birds, "--run", folder, "--out", tmp_path / "out") == 0
    told = json.loads((tmp_path / "out" / "data-check.json").read_text())["findings"]
    assert "all 36 training pictures" in told["labels-training"]["advice"]
    assert "0 of the validation cut and 12 of the test split" in told["labels-unseen"]["advice"]


def test_a_data_check_refuses_a_run_on_other_pictures(run, birds, tmp_path, capsys) -> None:
    other = Path(shutil.copytree(birds, tmp_path / "other"))
    first, second = (sample.path for sample in load_data(other).split("train")[:2])
    shutil.copy(first, second)
    assert wingbar("data", "check", other, "--run", run, "--out", tmp_path / "out") == 2
    assert "was not trained on the pictures" in capsys.readouterr().err
    assert wingbar("data", "check", birds, "--run", run / "model", "--out", tmp_path / "out") == 2
    assert "give the run folder" in capsys.readouterr().err


def test_predictions_are_readable() -> None:
    told = described(Prediction("a.jpg", (9, 9), {"wren": 0.75, "robin": 0.25}, (1, 2, 3, 4)), top=1)
    assert told == "a.jpg: wren 75.0%\n  object at (1, 2, 3, 4)"


def test_a_folder_for_drawings_that_cannot_be_made_is_told(run, birds, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("x")
    picture = load_data(birds).split("test")[0].path
    assert wingbar("explain", run, picture, "--out", tmp_path / "file" / "out") == 2
    assert "choose another --out" in capsys.readouterr().err
