from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from wingbar.data import Dataset, load
from wingbar.errors import DataError


def draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), "green").save(path)
    return path


def fill(root: Path, folders: dict[str, int]) -> None:
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            draw(root / folder / f"{number}.jpg")


def counts(dataset: Dataset) -> dict[tuple[str, str], int]:
    return dict(Counter((sample.split, dataset.classes[sample.label]) for sample in dataset.samples))


def test_folders_of_classes_are_all_for_training(tmp_path: Path) -> None:
    fill(tmp_path, {"wren": 3, "Robin": 2, "tern's nest": 2})
    dataset = load(str(tmp_path))
    assert dataset.classes == ("Robin", "tern's nest", "wren")
    assert counts(dataset) == {("train", "Robin"): 2, ("train", "tern's nest"): 2, ("train", "wren"): 3}
    assert [s.key for s in dataset.samples[:2]] == ["Robin/0.jpg", "Robin/1.jpg"]
    assert all(sample.path == dataset.root / sample.key for sample in dataset.samples)
    assert dataset.name == tmp_path.name and dataset.skipped == ()
    assert "3 classes, 7 training and 0 test pictures" in dataset.describe()


@pytest.mark.parametrize("train", ["train", "Train"])
def test_train_and_test_folders(tmp_path: Path, train: str) -> None:
    fill(tmp_path, {f"{train}/a": 3, f"{train}/b": 2, "test/b": 1, "test/a": 0, "test/notes": 0, "docs": 0, "val/a": 0})
    draw(tmp_path / "test" / "loose.jpg")
    (tmp_path / "test" / "notes" / "today.txt").touch()
    dataset = load(tmp_path)
    assert counts(dataset) == {("train", "a"): 3, ("train", "b"): 2, ("test", "b"): 1}
    assert [s.key for s in dataset.split("test")] == ["test/b/0.jpg"]
    assert {(s.path.name, s.reason) for s in dataset.skipped} == {
        ("loose.jpg", "not in a class folder"),
        ("notes", "a folder without pictures"),
        ("docs", "neither train nor test"),
        ("val", "neither train nor test"),
    }


def test_trains_may_be_a_class(tmp_path: Path) -> None:
    fill(tmp_path, {"train": 2, "plane": 2, "car": 2})
    assert load(tmp_path).classes == ("car", "plane", "train")


def test_what_is_no_picture_is_skipped_counted_and_named(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2, ".git": 0, "__MACOSX": 0, "a/deeper": 0})
    (tmp_path / "README.txt").write_text("hello")
    (tmp_path / "a" / "notes.txt").write_text("hello")
    (tmp_path / "a" / ".hidden.jpg").write_text("hello")
    (tmp_path / "b" / "fake.jpg").write_text("not a picture")
    (tmp_path / "b" / "empty.png").touch()
    (tmp_path / "b" / "broken link.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    dataset = load(tmp_path)
    assert len(dataset.samples) == 4
    assert {s.path.name: s.reason.split(" (")[0] for s in dataset.skipped} == {
        ".git": "hidden file",
        "__MACOSX": "written by the system",
        "README.txt": "not in a class folder",
        "deeper": "a folder without pictures",
        "notes.txt": "not a picture's extension: '.txt'",
        ".hidden.jpg": "hidden file",
        "fake.jpg": "not a picture of a known format",
        "empty.png": "an empty file",
        "broken link.png": "no such file",
        "pipe.png": "not a regular file",
    }
    assert dataset.describe().endswith("10 files skipped")


def test_every_extension_in_any_case(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    for name in ("x.JPEG", "x.png", "x.GIF", "x.bmp", "x.tif", "x.webp", "x.ppm"):
        draw(tmp_path / "a" / name)
    assert len(load(tmp_path).samples) == 11


def test_loops_of_links_end(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert len(load(tmp_path).samples) == 4
    with pytest.raises(DataError, match="self"):
        load(tmp_path / "self")


def test_hostile_names_load_and_print_harmlessly(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 2, "b\n\x1b[2J": 1})
    name = os.fsdecode(b"\xff\n;rm -rf.jpg")
    draw(tmp_path / "a" / name)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert str(caught.value).isprintable()
    draw(tmp_path / "b\n\x1b[2J" / "1.jpg")
    dataset = load(tmp_path)
    assert f"a/{name}" in [sample.key for sample in dataset.samples]
    assert len(dataset.fingerprint()) == 64


ERRORS = {
    "empty": ({}, "is empty"),
    "pictures only": ({".": 3}, "fewer than two class folders"),
    "one class": ({"a": 3}, "fewer than two class folders"),
    "one level too high": ({"set/a": 3, "set/b": 3}, r"Did you mean '.*set'\?"),
    "no pictures": ({"a": 0, "b": 0}, "no picture found"),
    "one picture": ({"a": 3, "b": 1}, r"fewer than 2 training pictures in 'b' \(1\)"),
    "empty class": ({"a": 3, "b": 3, "c": 0}, r"fewer than 2 training pictures in 'c' \(0\)"),
    "one class to train": ({"train/a": 3, "test/a": 3}, "only one class, 'a'"),
    "unknown class": ({"train/wren": 3, "train/b": 3, "test/wrenn": 1}, "'wrenn'.* Did you mean 'wren'"),
    "two layouts": ({"train/a": 3, "train/b": 3, "c": 1}, "two layouts at once, 'train' next to.*'c'"),
    "test alone": ({"test/a": 3, "test/b": 3}, "no class folders in train/"),
    "test among classes": ({"a": 3, "b": 3, "test": 3}, "two layouts at once"),
    "no classes": ({"train": 3, "test": 3}, "no class folders in train/"),
    "validation": (
        {"train/a": 3, "train/b": 3, "val/a": 3},
        "'val' is not a split.*cuts its own validation.*val/CLASS into train/CLASS",
    ),
    "validation alone": ({"val/a": 3, "val/b": 3}, "'val' is not a split"),
    "validation for test": (
        {"train/a": 3, "train/b": 3, "valid/a": 3, "test/a": 3},
        "'valid' is not a split",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_unusable_folder_says_why(tmp_path: Path, case: str) -> None:
    folders, message = ERRORS[case]
    fill(tmp_path, folders)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_a_class_lost_to_damage_names_the_damage(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 3, "b": 1})
    (tmp_path / "b" / "bad.jpg").write_text("junk")
    with pytest.raises(DataError, match=r"'b' \(1\).*1 file was skipped, first '.*bad.jpg': not a picture"):
        load(tmp_path)


def test_a_table_beside_the_pictures_is_pointed_at(tmp_path: Path) -> None:
    fill(tmp_path, {"photos": 3})
    (tmp_path / "labels.csv").write_text("path,label\n")
    with pytest.raises(DataError, match=r"Did you mean '.*labels.csv'\?"):
        load(tmp_path)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, {"a": 2, "b": 2})

    scandir = os.scandir

    def refuse(path: Path) -> object:  # the tests may run as a user whom no permission stops
        if path.name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        load(tmp_path)


def test_the_path_itself(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"neither a folder nor a \.csv or \.tsv file"):
        load(draw(tmp_path / "a.jpg"))
    with pytest.raises(DataError, match="cannot open"):
        load("a\0b")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="neither a folder"):
        load(tmp_path / "pipe.csv")


def test_pointers_of_git_lfs_are_told_as_that(tmp_path: Path) -> None:
    for name in ("wren", "tern"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
        )
    with pytest.raises(DataError, match=r"2 files were skipped.*git lfs pull"):
        load(tmp_path)
