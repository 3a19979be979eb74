"""A finished run learns more classes: its net stays as it is, its head learns all of them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import wingbar
from wingbar._system.files import write_record
from wingbar.cli import main
from wingbar.config import Config
from wingbar.data import load as load_data
from wingbar.errors import ConfigError, DataError, RunError
from wingbar.evaluation.evaluate import evaluate
from wingbar.model.folder import read_model
from wingbar.model.seen import digest_of, seen_by
from wingbar.pipeline import GOING_ON_STEPS

SMALL = Config(
    method="field-marks", net="res2net_nano", weights="none", size=48, epochs=2, follow_epochs=1, batch_size=8,
    workers=0, validation=0.4,
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, birds: Path) -> tuple[Path, Path]:
    """Two of the drawn classes, and the third one beside two new pictures of the first."""
    place, dataset = tmp_path_factory.mktemp("going-on"), load_data(birds)
    seen: set[int] = set()
    for sample in dataset.samples:
        new = sample.label == 2 or (sample.split == "train" and sample.label == 0 and len(seen) < 2)
        seen |= {id(sample)} if new and sample.label == 0 else set()
        to = place / ("more" if new else "old") / sample.split / dataset.classes[sample.label] / sample.path.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, to)
    return place / "old", place / "more"


@pytest.fixture(scope="module")
def run(folders: tuple[Path, Path]) -> Path:
    wingbar.train(folders[0], folders[0].parent / "run", SMALL, quiet=True)
    return folders[0].parent / "run"


@pytest.fixture(scope="module")
def longer(run: Path, folders: tuple[Path, Path]) -> Path:
    """The run that goes on; made by the command."""
    before = contents(run)
    with pytest.raises(SystemExit, match="0"):
        main(["train", str(folders[1]), "--out", str(run.parent / "longer"), "--based-on", str(run), "--quiet"])
    assert contents(run) == before
    return run.parent / "longer"


def contents(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_it_knows_the_classes_of_both_and_only_the_head_has_changed(run: Path, longer: Path, birds: Path) -> None:
    assert wingbar.load(longer).classes == load_data(birds).classes
    assert {path.name for path in (longer / "steps").iterdir()} == set(GOING_ON_STEPS["field-marks"])
    old, new = (load_file(one / "model" / "views.safetensors") for one in (run, longer))
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert changed == {"head.weight", "head.bias"} and len(new["head.bias"]) == 3
    assert load_file(longer / "model" / "second.safetensors")["weight"].shape == new["head.weight"].shape
    readouts = [(one / "model" / "readout.safetensors").read_bytes() for one in (run, longer)]
    assert readouts[0] == readouts[1]


def test_what_was_held_out_stays_so_and_what_was_learnt_is_not_judged_by(
    run: Path, longer: Path, folders: tuple[Path, Path]
) -> None:
    old, new = (seen_by(read_model(one)) for one in (run, longer))
    assert old is not None and new is not None
    assert old.learnt() < new.learnt() and old.held_out() < new.held_out()
    pictures = {digest_of(path) for folder in folders for path in (folder / "train").rglob("*") if path.is_file()}
    assert new.learnt() | new.held_out() == pictures and not new.learnt() & new.held_out()


def test_it_predicts_and_is_judged_like_any_other(longer: Path, birds: Path, tmp_path: Path) -> None:
    paths = [sample.path for sample in load_data(birds).split("test")]
    predictions = wingbar.load(longer).predict_many(paths)
    assert all(sum(one.scores.values()) == pytest.approx(1, abs=1e-4) for one in predictions)
    judged = evaluate(longer, out=tmp_path)
    assert judged.classification.pictures == len(paths)


def test_the_same_command_again_computes_nothing(run: Path, longer: Path, folders: tuple[Path, Path]) -> None:
    def stamps() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in longer.glob("steps/*/result.json")}

    before = stamps()
    wingbar.train(folders[1], longer, based_on=run, quiet=True)
    assert stamps() == before


def test_the_same_command_trains_in_full(run: Path, folders: tuple[Path, Path], birds: Path, tmp_path: Path) -> None:
    recognizer = wingbar.train(folders[1], tmp_path / "full", based_on=run, full=True, method="plain", quiet=True)
    assert recognizer.classes == load_data(birds).classes
    assert (tmp_path / "full" / "steps" / "filternet").is_dir()


def test_a_plain_net_goes_on_too_and_a_tree_that_has_grown_needs_no_table(
    folders: tuple[Path, Path], birds: Path, tmp_path: Path
) -> None:
    tree = Path(shutil.copytree(folders[0], tmp_path / "tree"))
    wingbar.train(tree, tmp_path / "run", SMALL, method="plain", quiet=True)
    name = load_data(birds).classes[2]
    shutil.copytree(folders[1] / "train" / name, tree / "train" / name)
    recognizer = wingbar.train(tree, tmp_path / "longer", based_on=tmp_path / "run", quiet=True)
    assert recognizer.classes == load_data(birds).classes and recognizer.card.data.source == str(tree.resolve())
    assert not (tmp_path / "longer" / "pictures.csv").exists()


def test_a_folder_of_one_new_class_is_enough(
    run: Path, folders: tuple[Path, Path], birds: Path, tmp_path: Path
) -> None:
    name = load_data(birds).classes[2]
    shutil.copytree(folders[1] / "train" / name, tmp_path / "new" / name)
    assert wingbar.train(tmp_path / "new", tmp_path / "out", based_on=run, quiet=True).classes[2] == name


def test_a_corrected_label_counts_and_is_read_from_a_table(
    run: Path, folders: tuple[Path, Path], birds: Path, tmp_path: Path
) -> None:
    first, second, _ = load_data(birds).classes
    wrong = sorted((folders[0] / "train" / first).iterdir())[0]
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{first}/{wrong.name},{second}\n")
    longer = wingbar.train(table, tmp_path / "longer", images_root=folders[0] / "train", based_on=run, quiet=True)
    both = load_data(longer.card.data.source, longer.card.data.images_root)
    assert next(both.classes[one.label] for one in both.samples if one.path.name == wrong.name) == second
    assert longer.classes == (first, second)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 64}, r"size is 64, but .* learnt with 48: leave it away, or train the net again with --full"),
        ({"net": "resnet18"}, r"net is 'resnet18', but .* 'res2net_nano'"),
        ({"epochs": 9}, r"epochs is 9, but"),
        ({"method": "opam"}, r"opam has several nets: train them again with --full"),
    ],
)
def test_settings_of_another_net_are_refused(
    settings: dict[str, object], message: str, run: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        wingbar.train(folders[1], tmp_path / "out", based_on=run, quiet=True, **settings)


def test_a_run_that_cannot_be_gone_on_from_says_why(
    run: Path, small_run: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"opam has several nets"):
        wingbar.train(folders[1], tmp_path / "out", based_on=small_run, quiet=True)
    with pytest.raises(ConfigError, match=r"name that one \(--based-on\)"):
        wingbar.train(folders[1], tmp_path / "out", full=True, quiet=True)
    with pytest.raises(RunError, match=r"no model here"):
        wingbar.train(folders[1], tmp_path / "out", based_on=tmp_path, quiet=True)
    model = Path(shutil.copytree(run / "model", tmp_path / "model"))
    (model / "seen.safetensors").unlink()
    with pytest.raises(RunError, match=r"does not say which pictures were held out .* --full"):
        wingbar.train(folders[1], tmp_path / "out", based_on=model, quiet=True)


def test_pictures_that_are_gone_are_named(folders: tuple[Path, Path], tmp_path: Path) -> None:
    tree = Path(shutil.copytree(folders[0], tmp_path / "tree"))
    wingbar.train(tree, tmp_path / "run", SMALL, method="plain", quiet=True)
    tree.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"no longer at .*tree.* Put them back"):
        wingbar.train(folders[1], tmp_path / "out", based_on=tmp_path / "run", quiet=True)
    card = read_model(tmp_path / "run").card
    nameless = replace(card, data=replace(card.data, source="", images_root=""))  # as an export's
    write_record(tmp_path / "run" / "model" / "recognizer.json", nameless.to_dict())
    with pytest.raises(DataError, match=r"as an export does not\. Give the run"):
        wingbar.train(folders[1], tmp_path / "out", based_on=tmp_path / "run", quiet=True)
