"""What a run says of new pictures: copies of its training pictures, and strangers by look."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save

from wingbar.check.audit import examine_all
from wingbar.check.new import by_run, load_new, strange_pictures
from wingbar.cli import main
from wingbar.data import load
from wingbar.data.duplicates import NEAR, nearest, packed
from wingbar.errors import RunError
from wingbar.model.card import Card
from wingbar.prediction import Prediction


@pytest.fixture
def new(birds: Path, tmp_path: Path) -> Path:
    """Two copies of training pictures, one changed, a test picture, and one that shows nothing; no labels."""
    dataset = load(birds)
    train, test = dataset.split("train"), dataset.split("test")
    folder = tmp_path / "new"
    folder.mkdir()
    shutil.copy(train[0].path, folder / f"a{train[0].path.suffix}")
    with Image.open(train[5].path) as picture:
        picture.resize((64, 48)).save(folder / "b.png")
    shutil.copy(test[0].path, folder / f"c{test[0].path.suffix}")
    Image.new("RGB", (40, 40), (9, 9, 9)).save(folder / "d.png")
    (folder / "notes.txt").touch()
    return folder


def test_pictures_of_the_training_are_found_and_others_are_not(
    small_run: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["data", "check", str(new), "--run", str(small_run), "--out", str(tmp_path / "out")])
    seen = json.loads((tmp_path / "out" / "data-check.json").read_text())["findings"]["seen"]["items"]
    assert [Path(item["pictures"][0]["path"]).stem for item in seen] == ["a", "b"]
    assert seen[0]["copy"] == "the same file" and seen[1]["copy"] == "nearly the same picture"
    assert "Were in the run's training" in capsys.readouterr().out


def test_a_model_without_hashes_says_that_it_does_not_know(small_run: Path, new: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(small_run / "model", tmp_path / "model"))
    dataset = load_new(new)
    assert [skipped.path.name for skipped in dataset.skipped] == ["notes.txt"]
    (model / "seen.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"seen\.safetensors: damaged"):
        by_run(model, dataset, lambda: examine_all(dataset))
    (model / "seen.safetensors").unlink()
    seen, strangers = by_run(model, dataset, lambda: examine_all(dataset))
    assert "not known" in seen.title and not seen.items and strangers.key == "strangers"


@pytest.mark.parametrize("what", ["bits", "digests"])
@pytest.mark.parametrize("wrong", [np.zeros((36, 5), np.uint8), np.zeros((3, 32), np.uint8), np.zeros((36, 32)), None])
def test_hashes_that_are_none_are_refused(
    small_run: Path, new: Path, tmp_path: Path, what: str, wrong: np.ndarray | None
) -> None:
    folder = Path(shutil.copytree(small_run / "model", tmp_path / "model"))
    arrays = load_file(folder / "seen.safetensors") | {what: wrong}
    content = save({name: array for name, array in arrays.items() if array is not None})
    (folder / "seen.safetensors").write_bytes(content)
    card = Card.read(folder)
    replace(card, sha256={**card.sha256, "seen": hashlib.sha256(content).hexdigest()}).write(folder)
    with pytest.raises(RunError, match="lacks or misstates"):
        by_run(folder, load_new(new), list)


def test_the_hashes_are_small_and_tell_nothing_of_the_order(small_run: Path) -> None:
    arrays = load_file(small_run / "model" / "seen.safetensors")
    assert {name: array.shape for name, array in arrays.items()} == {
        "bits": (36, 32), "digests": (36, 16), "held": (36,)
    }  # fmt: skip
    digests = [row.tobytes()[::-1] for row in arrays["digests"]]
    assert digests == sorted(digests)


def test_strangers_are_grouped_by_what_they_look_like(birds: Path) -> None:
    samples = load(birds).split("test")[:5]
    known = Prediction("a", (9, 9), {"wren": 0.6, "owl": 0.4}, known=0.9, least_known=0.5)
    owl = replace(known, scores={"owl": 0.9, "wren": 0.1})
    predictions = [replace(known, known=0.3), known, replace(known, known=0.1), replace(owl, known=0.2)]
    items = strange_pictures(samples, [*predictions, Prediction("b", error="damaged")]).items
    assert [(item.facts["most like"], item.facts["pictures"]) for item in items] == [("wren", 2), ("owl", 1)]
    assert items[0].pictures == (samples[2], samples[0])


def test_distances_are_counted_bit_by_bit() -> None:
    smalls = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    bits = packed(smalls)
    assert bits.shape == (5, 32) and nearest(bits, bits).tolist() == [0] * 5
    flipped = bits.copy()
    flipped[:, 3] ^= 0b10100000
    assert nearest(flipped, bits).tolist() == [2] * 5 and (nearest(bits[:1], bits[1:]) > NEAR).all()
    assert nearest(bits, bits[:0]).min() > NEAR
