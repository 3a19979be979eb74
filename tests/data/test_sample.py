from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pytest

from wingbar.data import Dataset, Sample
from wingbar.errors import DataError


def dataset(root: Path) -> Dataset:
    for number in range(6):
        (root / f"{number}.jpg").write_bytes(bytes([number]) * 20_000)
    samples = tuple(
        Sample(root / f"{n}.jpg", f"{n}.jpg", label=n // 2, split="train" if n % 2 else "test") for n in range(6)
    )
    return Dataset(root, "birds", "table", ("a", "b", "c"), samples)


def test_splits_keep_the_order(tmp_path: Path) -> None:
    birds = dataset(tmp_path)
    assert [s.key for s in birds.split("train")] == ["1.jpg", "3.jpg", "5.jpg"]
    assert [s.key for s in birds.split("test")] == ["0.jpg", "2.jpg", "4.jpg"]


def test_first_classes(tmp_path: Path) -> None:
    birds = dataset(tmp_path)
    assert [s.label for s in birds.first_classes(2).samples] == [0, 0, 1, 1]
    assert birds.first_classes(2).classes == ("a", "b") and birds.first_classes(3) == birds
    for count in (0, 1, 4):
        with pytest.raises(DataError, match="give 2 to 3"):
            birds.first_classes(count)


def test_the_fingerprint_moves_with_the_folder_and_ignores_time(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    before = dataset(tmp_path / "here").fingerprint()
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = dataset(tmp_path / "there")
    os.utime(moved.samples[0].path, (0, 0))
    assert moved.fingerprint() == before


def test_the_fingerprint_sees_what_training_depends_on(tmp_path: Path) -> None:
    birds = dataset(tmp_path)
    first, *rest = birds.samples
    changed = [
        dataclasses.replace(birds, classes=("a", "b", "d")),
        dataclasses.replace(birds, samples=tuple(rest)),
        dataclasses.replace(birds, samples=(*rest, first)),
        *(
            dataclasses.replace(birds, samples=(dataclasses.replace(first, **change), *rest))
            for change in ({"key": "x.jpg"}, {"label": 2}, {"split": "train"})
        ),
    ]
    prints = {birds.fingerprint(), *(other.fingerprint() for other in changed)}
    assert len(prints) == 1 + len(changed)
    for content in (b"\x07" + bytes(19_999), bytes(19_999) + b"\x07", bytes(20_001)):  # head, tail, size
        first.path.write_bytes(content)
        assert birds.fingerprint() not in prints
        prints.add(birds.fingerprint())
    boxed = dataclasses.replace(first, box=(0.0, 0.0, 1.0, 1.0))  # training never sees boxes
    assert dataclasses.replace(birds, samples=(boxed, *rest)).fingerprint() == birds.fingerprint()


def test_words_cannot_run_into_one_another(tmp_path: Path) -> None:
    birds = dataset(tmp_path)
    one, other = (dataclasses.replace(birds, classes=names) for names in (("a", "bc", ""), ("ab", "c", "")))
    assert one.fingerprint() != other.fingerprint()


def test_a_file_that_has_gone_is_named(tmp_path: Path) -> None:
    birds = dataset(tmp_path)
    birds.samples[3].path.unlink()
    with pytest.raises(DataError, match=r"3\.jpg"):
        birds.fingerprint()


def test_one_line_for_people(tmp_path: Path) -> None:
    assert dataset(tmp_path).describe() == "birds (table): 3 classes, 3 training and 3 test pictures"
