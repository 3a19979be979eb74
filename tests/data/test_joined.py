"""The pictures of a finished model and more of them, as one data set."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from wingbar.data import load
from wingbar.data.joined import joined
from wingbar.data.sample import Taxonomy
from wingbar.errors import DataError


def draw(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (90, 120, 30)).save(folder / name, format="PNG")
    return folder


def labels(dataset: object) -> dict[str, str]:
    return {sample.path.name: dataset.classes[sample.label] for sample in dataset.samples}  # type: ignore[attr-defined]


def test_both_are_read_from_one_table_and_later_labels_count(tmp_path: Path) -> None:
    old = load(
        draw(tmp_path / "old", "train/a/1.png", "train/a/2.png", "train/b/3.png", "train/b/4.png", "test/b/5.png")
    )
    draw(tmp_path / "new", "c/6.png", "c/7,8.png")
    rows = 'path,label\nold/train/a/2.png,b\nnew/c/6.png,c\n"new/c/7,8.png",c\n'
    (tmp_path / "labels.csv").write_text(rows)
    both = joined(old, load(tmp_path / "labels.csv", to_learn=False), tmp_path / "run" / "pictures.csv")
    assert labels(both) == {
        "1.png": "a",
        "2.png": "b",
        "3.png": "b",
        "4.png": "b",
        "5.png": "b",
        "6.png": "c",
        "7,8.png": "c",
    }
    assert [sample.path.name for sample in both.split("test")] == ["5.png"]
    assert load(both.source, both.images_root, to_learn=False).fingerprint() == both.fingerprint()


def test_a_set_that_has_all_of_the_other_is_taken_as_it_is(tmp_path: Path) -> None:
    old = load(draw(tmp_path / "old", "a/1.png", "a/2.png", "b/3.png", "b/4.png"))
    more = load(draw(tmp_path / "old", "c/5.png", "c/6.png"))
    assert joined(old, more, tmp_path / "pictures.csv") is more
    assert not (tmp_path / "pictures.csv").exists()


def test_groups_of_either_are_kept(tmp_path: Path) -> None:
    from dataclasses import replace

    old = load(draw(tmp_path / "old", "a/1.png", "a/2.png", "b/3.png", "b/4.png"))
    more = load(draw(tmp_path / "more", "c/5.png", "d/6.png"), to_learn=False)
    old = replace(old, taxonomy=Taxonomy(("genus",), {"a": ("x",), "b": ("y",)}))
    both = joined(old, more, tmp_path / "pictures.csv").taxonomy
    assert both is not None and both.groups == {"a": ("x",), "b": ("y",), "c": ("",), "d": ("",)}


def test_a_name_that_no_table_can_hold_is_told(tmp_path: Path) -> None:
    old = load(draw(tmp_path / "old", "a/1.png", "a/2.png", "b/3.png", "b/\udc80.png"))
    more = load(draw(tmp_path / "more", "c/5.png", "c/6.png"), to_learn=False, fewest=1)
    with pytest.raises(DataError, match="no table can hold this file's name"):
        joined(old, more, tmp_path / "pictures.csv")
