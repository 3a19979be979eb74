"""The command line as users meet it: exit codes, messages, streams."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import tyro
from PIL import Image
from safetensors.numpy import load_file
from safetensors.torch import save_model

import wingbar as package
from wingbar._system.settings import fill
from wingbar.cli import COMMANDS, main, parse
from wingbar.cli.datasets import Check, Download
from wingbar.cli.models import described
from wingbar.cli.settings import train_command
from wingbar.data import load as load_data
from wingbar.learning.recipe import Recipe
from wingbar.nets import create
from wingbar.prediction import Prediction

ROOT = Path(__file__).parents[1]

FAST = [
    "--net", "res2net_nano", "--weights", "none", "--size", "48", "--epochs", "1", "--follow-epochs", "1",
    "--batch-size", "8", "--workers", "0",
]  # fmt: skip


def wingbar(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_run: Path) -> Path:
    """A copy of the trained run, to be written to."""
    return Path(shutil.copytree(small_run, tmp_path_factory.mktemp("cli") / "run"))


def test_training_says_beforehand_what_it_does_and_how_long_it_takes(tmp_path, birds, capsys) -> None:
    assert wingbar("train", birds, "--out", tmp_path / "run", "--method", "plain", *FAST) == 0
    out, err = capsys.readouterr()
    assert out == ""
    plan = err.index("3 classes, 36 training and 12 test pictures"), err.index("steps: data, occasions, filternet")
    assert plan[0] < plan[1] < err.index("pictures/s; trainings need about")
    assert "wingbar evaluate" in err


def test_json_is_one_object_a_picture_and_nothing_else(run, birds, capsys) -> None:
    paths = [sample.path for sample in load_data(birds).split("test")[:3]]
    assert wingbar("predict", run, *paths, "--json", "--top", 2) == 0
    lines = capsys.readouterr().out.splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["path"] for answer in answers] == [str(path) for path in paths]
    for answer in answers:
        assert len(answer["scores"]) == 2 and next(iter(answer["scores"])) == answer["label"]
        assert len(answer["object_box"]) == 4 and len(answer["parts"]) == 2


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
    assert "predicting 6 of 36 training pictures" in err


def test_evaluation_prints_its_tables(run, capsys) -> None:
    assert wingbar("evaluate", run) == 0
    out = capsys.readouterr().out
    assert "12 test pictures" in out and "centre box" in out and "picture+object+parts" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere", "--out", "x"], "nowhere"),
        (["predict", "nowhere", "x.jpg"], "no model here"),
        (["predict", __file__, "x.jpg"], "no model here"),
        (["evaluate", "nowhere"], "no model here"),
        (["explain", "nowhere", "x.jpg", "--out", "y"], "no model here"),
        (["guide", "nowhere"], "no model here"),
        (["train", ".", "--out", "x", "--config", "none.toml"], "no such configuration file"),
        (["tran", ".", "--out", "x"], "no command 'tran'. Did you mean 'train'?"),
        (["train", "", "--out", "x"], "an argument is empty (after train)"),
        (["train", "x", "--out="], "an argument is empty (--out)"),
        (["train", "x", "--out", "y", "--config", ""], "an argument is empty (after --config)"),
        (["predict", "run", "a.jpg", ""], "an argument is empty (after a.jpg)"),
        (["train", "x", "--out=~/run"], "left the '~' in '--out=~/run' as it is. Write it after a blank: --out ~/run"),
        (["evaluate", "~/run"], "left the '~' in '~/run' as it is. Write it without quotes"),
        (["train", r"C:\Users\me\photos", "--out", "x"], "In WSL it is '/mnt/c/Users/me/photos'"),
        (["train", "x", "--out=D:/runs"], "In WSL it is '/mnt/d/runs'"),
        (["evaluate", r"\\wsl$\Ubuntu\home\me\run"], "In WSL it is '/home/me/run'"),
        (["evaluate", r"\\wsl.localhost\Debian"], "In WSL it is '/'"),
        (["train", "x", "--out", "run\r"], "ends with a carriage return: the script"),
    ],
)
def test_mistakes_end_with_two_and_no_traceback(arguments, message, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert wingbar(*arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.startswith("wingbar: ") and "Traceback" not in err


def test_a_picture_that_begins_with_a_dash_is_told_apart_from_an_option(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-1.jpg").touch()
    assert wingbar("predict", "run", "-1.jpg") == 2
    assert "Write './-1.jpg'" in capsys.readouterr().err
    for arguments in (["run", "./-1.jpg"], ["run", "--", "-1.jpg"]):
        assert wingbar("predict", *arguments) == 2
        assert "no model here" in capsys.readouterr().err


def test_an_unknown_net_is_told_before_any_picture_is_read(tmp_path, birds, capsys) -> None:
    assert wingbar("train", birds, "--out", tmp_path / "run", "--net", "mobilnetv2_100") == 2
    assert "Did you mean 'mobilenetv2_100'" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(Exception, match="no model here"):
        main(["evaluate", "nowhere", "--debug"])


def test_a_mistyped_option_suggests_the_right_one(capsys) -> None:
    assert wingbar("train", "x", "--out", "y", "--epoch", "3") == 2
    assert "--epochs" in "".join(capsys.readouterr())


def settings_of(*options: object) -> package.Config:
    """The settings that a training with these options would have."""
    return parse(["train", "DATA", "--out", "RUN", *map(str, options)]).settings


def test_options_win_over_the_file(tmp_path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(
        'method = "plain"\nepochs = 7\nseed = 3\nrefit = true\n'
        "[parts]\ncount = 4\n[training]\nerase = 0.1\ndropout = 0.3\n"
    )
    settings = settings_of("--config", file, "--epochs", 1, "--no-refit", "--training.dropout", 0.5)
    assert (settings.method, settings.seed, settings.epochs, settings.refit) == ("plain", 3, 1, False)
    assert settings.parts.count == 4 and settings.training == {"erase": 0.1, "dropout": 0.5}


def test_settings_of_sections_are_options() -> None:
    options = [
        "--parts.count", 3, "--filtering.no-enabled", "--training.no-frozen-norms", "--training.scale", 0.5, 0.9,
        "--localization.rules", "cam otsu grown", "--localization.locating-size", 320, "--alignment.rule", "sum",
    ]  # fmt: skip
    given = {
        "parts": {"count": 3}, "filtering": {"enabled": False}, "alignment": {"rule": "sum"},
        "training": {"frozen_norms": False, "scale": (0.5, 0.9)},
        "localization": {"rules": ["cam otsu grown"], "locating_size": 320},
    }  # fmt: skip
    settings = settings_of(*options)
    assert settings == fill(package.Config(), given, "")
    assert (settings.base_recipe().scale, settings.base_recipe().frozen_norms) == ((0.5, 0.9), False)


def test_every_setting_is_an_option() -> None:
    options = set(described_options(train_command()))
    sections = {field.name: getattr(package.Config(), field.name) for field in fields(package.Config)}
    sections["training"] = Recipe()
    for name, value in sections.items():
        keys = [f"{name}.{field.name}" for field in fields(value)] if is_dataclass(value) else [name]
        assert {f"--{key}".replace("_", "-") for key in keys} <= options


def test_an_impossible_value_of_a_section_is_told(capsys) -> None:
    assert wingbar("train", "x", "--out", "y", "--filtering.cap", "-3") == 2
    assert capsys.readouterr().err.startswith("wingbar: filtering.cap is -3; it must lie between")


def described_options(kind: object) -> dict[str, str | None]:
    """The options of a command, and the text of each in its help."""
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):  # there is no other way to ask tyro
        parser = tyro.extras.get_parser(kind)  # type: ignore[arg-type]
    return {
        word: action.help
        for action in parser._actions
        if not isinstance(action, argparse._HelpAction)
        for word in action.option_strings or [str(action.metavar)]
    }


def test_every_option_is_documented() -> None:
    commands = {**{name: kind for name, kind in COMMANDS.items() if name != "data"}, "check": Check}
    for name, kind in {**commands, "download": Download, "train": train_command()}.items():
        options = described_options(kind)
        texts = {
            option: (text or "").partition("(default")[0].partition("(required")[0] for option, text in options.items()
        }
        assert options and [option for option, text in texts.items() if len(text.split()) < 2] == [], name
        assert {"--no-debug", "--no-quiet", "--no-json", "--no-int8"} & set(options) == set()


def test_every_command_that_predicts_takes_a_device() -> None:
    commands = [
        COMMANDS[name]
        for name in ("evaluate", "predict", "predict-many", "explain", "guide", "serve", "review", "demo")
    ]
    assert [kind for kind in (*commands, Check) if "--device" not in described_options(kind)] == []


def test_a_device_that_is_not_there_is_told(run, birds, capsys) -> None:
    picture = load_data(birds).split("test")[0].path
    assert wingbar("predict", run, picture, "--device", "cpu") == 0
    assert capsys.readouterr().out.count(str(picture)) == 1
    assert wingbar("predict", run, picture, "--device", "mps") == 2
    assert "mps" in capsys.readouterr().err


def test_the_version_is_told(capsys) -> None:
    assert wingbar("--version") == 0
    assert capsys.readouterr().out == f"wingbar {package.__version__}\n"


SURROUNDINGS = {
    "C without UTF-8": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "streams in ASCII": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
    "streams in Latin-1": {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"},
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_a_terminal_without_utf_8_reads_and_names_classes_all_the_same(surroundings: dict, tmp_path: Path) -> None:
    for name, colours in {"Möwe": ("red", "blue"), "鳥": ("teal", "gold")}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for colour in colours:
            Image.new("RGB", (40, 30), colour).save(tmp_path / "photos" / name / f"{colour}-ü.png")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    env |= {"PYTHONPATH": str(ROOT / "src"), **surroundings}

    def tell(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "wingbar", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, env=env)

    helped = tell("predict", "--help")
    assert (helped.returncode, helped.stderr) == (0, b"") and b"--device" in helped.stdout
    checked = tell("data", "check", tmp_path / "photos", "--out", tmp_path / "found")
    assert checked.returncode == 0 and b"Traceback" not in checked.stderr
    assert "Möwe" in (tmp_path / "found" / "index.html").read_text(encoding="utf-8")
    lost = tell("data", "check", tmp_path / "Möwen", "--out", tmp_path / "found")
    assert lost.returncode == 2 and lost.stderr.startswith(b"wingbar: ") and lost.stderr.count(b"\n") == 1


def test_a_folder_of_settings_and_a_file_for_a_folder_are_told(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("x")
    assert wingbar("train", "x", "--out", "y", "--config", tmp_path) == 2
    assert "give a TOML file to --config" in capsys.readouterr().err
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        for command in (("demo", "--out"), ("data", "download", "flowers")):
            assert wingbar(*command, out) == 2
            assert "choose another place" in capsys.readouterr().err


def test_too_few_readable_pictures_are_told_with_the_names_of_those_that_are_not(tmp_path: Path, capsys) -> None:
    for name in ("owl/1.png", "owl/2.png", "wren/1.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "teal").save(tmp_path / "photos" / name)
    Image.effect_noise((90, 90), 60).save(tmp_path / "photos" / "wren" / "broken.png")
    whole = (tmp_path / "photos" / "wren" / "broken.png").read_bytes()
    (tmp_path / "photos" / "wren" / "broken.png").write_bytes(whole[: len(whole) // 2])  # its header is sound
    assert wingbar("train", tmp_path / "photos", "--out", tmp_path / "run", "--quiet", *FAST) == 2
    message = capsys.readouterr().err
    assert "'wren' has 1 readable training pictures" in message and "broken.png" in message


def test_a_file_of_settings_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("seed = 3\n", encoding="utf-8-sig")
    assert settings_of("--config", tmp_path / "settings.toml").seed == 3


def test_a_data_check_ends_with_one_where_a_photograph_leaks(birds, tmp_path, capsys) -> None:
    assert wingbar("data", "check", birds, "--out", tmp_path / "sound") == 0
    out, err = capsys.readouterr()
    assert "| The same photograph in training and test   |     0 |" in out and "index.html" in err
    leaky = Path(shutil.copytree(birds, tmp_path / "leaky"))
    train, test = (load_data(leaky).split(split)[0].path for split in ("train", "test"))
    shutil.copy(train, test)
    assert wingbar("data", "check", leaky, "--out", tmp_path / "found") == 1
    report = json.loads((tmp_path / "found" / "data-check.json").read_text())
    assert [p["path"] for p in report["findings"]["leakage"]["items"][0]["pictures"]] == [
        path.relative_to(leaky).as_posix() for path in (train, test)
    ]


def test_a_data_check_judges_labels_by_pictures_that_the_run_has_not_seen(run, birds, tmp_path, capsys) -> None:
    assert wingbar("data", "check", birds, "--run", run, "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "data-check.json").read_text())["findings"]
    assert "labels-training" not in report and "labels are checked" in (run / "test-split-read.log").read_text()
    report = report["labels-unseen"]
    assert (
        "Judged: 18 pictures" in report["advice"] and "6 of the validation cut and 12 of the test" in report["advice"]
    )
    held = load_file(run / "steps" / "data" / "result.safetensors")["validation"]
    dataset = load_data(birds)
    unseen = {dataset.split("train")[i].key for i in held} | {sample.key for sample in dataset.split("test")}
    assert {p["path"] for item in report["items"] for p in item["pictures"]} <= unseen


def test_a_data_check_judges_training_labels_by_the_weights_that_a_run_started_from(birds, tmp_path, capsys) -> None:
    weights, folder = tmp_path / "start.safetensors", tmp_path / "run"
    save_model(create("res2net_nano", 3).backbone, weights)
    start = ["--method", "plain", *FAST, "--weights", weights]
    assert wingbar("train", birds, "--out", folder, "--quiet", *start) == 0
    assert wingbar("data", "check", birds, "--run", folder, "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "data-check.json").read_text())["findings"]
    assert "all 36 training pictures" in report["labels-training"]["advice"]
    assert "0 of the validation cut and 12 of the test split" in report["labels-unseen"]["advice"]


def test_a_data_check_of_other_pictures_lists_those_that_the_run_has_seen(run, birds, tmp_path, capsys) -> None:
    other = Path(shutil.copytree(birds, tmp_path / "other"))
    first, second = (sample.path for sample in load_data(other).split("train")[:2])
    shutil.copy(first, second)
    assert wingbar("data", "check", other, "--run", run, "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "data-check.json").read_text())["findings"]
    training = {sample.key for sample in load_data(other).split("train")}
    assert training <= {item["pictures"][0]["path"] for item in report["seen"]["items"]} and "strangers" in report
    assert "labels-unseen" not in report
    assert wingbar("data", "check", birds, "--run", run / "model", "--out", tmp_path / "out") == 2
    assert "give the run folder" in capsys.readouterr().err


def test_predictions_are_readable() -> None:
    result = described(Prediction("a.jpg", (9, 9), {"wren": 0.75, "robin": 0.25}, (1, 2, 3, 4)), top=1)
    assert result == "a.jpg: wren 75.0%\n  object at (1, 2, 3, 4)"


def test_a_folder_for_drawings_that_cannot_be_made_is_told(run, birds, tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("x")
    picture = load_data(birds).split("test")[0].path
    assert wingbar("explain", run, picture, "--out", tmp_path / "file" / "out") == 2
    assert "choose another place" in capsys.readouterr().err


def test_a_folder_that_is_gone_under_the_program_is_told(tmp_path: Path, birds: Path, monkeypatch, capsys) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SystemExit) as ending:
        main(["train", str(birds), "--out", "run"])
    assert ending.value.code == 2
    assert "the folder that the command was given in is no longer there" in capsys.readouterr().err
