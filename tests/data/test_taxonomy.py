"""Taxonomies: tables as people write them, trees of folders, and what is wrong with either."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from wingbar.data import load
from wingbar.data.sample import Taxonomy
from wingbar.data.taxonomy import of_folders, read_taxonomy
from wingbar.errors import DataError

CLASSES = ("Herring_gull", "Lesser_black-backed_gull", "Common_tern")


def write(folder: Path, text: str, name: str = "taxonomy.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_a_table_is_read_whatever_the_case_the_order_of_rows_and_other_classes(tmp_path: Path) -> None:
    text = "Class,Genus,Family\nwren,Troglodytes,Troglodytidae\ncommon_tern,Sterna,Laridae\n"
    text += "Herring_gull,Larus,Laridae\nLesser_black-backed_gull,Larus,Laridae\n"
    result = read_taxonomy(write(tmp_path, text), CLASSES)
    assert result.levels == ("genus", "family")
    assert result.groups == dict(zip(CLASSES, [("Larus", "Laridae")] * 2 + [("Sterna", "Laridae")], strict=True))


WRONG = {
    "a class is missing": ("class,genus\nHerring_gull,Larus\nCommon_tern,Sterna\n", "no row for the classes 'Lesser"),
    "a class twice": (
        "class,genus\nHerring_gull,Larus\nherring_gull,Larus\n",
        "line 3: the class 'herring_gull' is th",
    ),
    "no levels": ("class\nHerring_gull\n", "0 columns beside 'class'"),
    "no class": ("name,genus\nHerring_gull,Larus\n", "no column 'class'"),
    "two families": (
        "class,genus,family\nHerring_gull,Larus,Laridae\nLesser_black-backed_gull,Larus,Alcidae\nCommon_tern,,\n",
        "the genus 'Larus' lies in the family 'Laridae' with 'Herring_gull', and in 'Alcidae' with 'Lesser",
    ),
    "too many": (f"class,{','.join(map(str, range(20)))}\nHerring_gull{',' * 20}\n", "20 columns"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_table_is_told(tmp_path: Path, what: str) -> None:
    text, message = WRONG[what]
    with pytest.raises(DataError, match=message) as caught:
        read_taxonomy(write(tmp_path, text), CLASSES)
    assert "taxonomy.csv" in str(caught.value)


def test_the_table_beside_the_pictures_is_taken_and_a_named_one_wins(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (40, 40)).save(tmp_path / "data" / name / f"{number}.png")
    assert load(tmp_path / "data").taxonomy is None
    rows = "".join(f"{name},{name[0]}\n" for name in CLASSES)
    write(tmp_path / "data", f"class,letter\n{rows}")
    dataset = load(tmp_path / "data")
    assert dataset.taxonomy is not None and dataset.taxonomy.levels == ("letter",) and not dataset.skipped
    other = write(tmp_path, f"class,first\n{rows}", "other.tsv")
    named = load(tmp_path / "data", taxonomy=other).taxonomy
    assert named is not None and named.levels == ("first",)
    assert load(tmp_path / "data", to_learn=False).taxonomy is None
    with pytest.raises(DataError, match="no taxonomy at"):
        load(tmp_path / "data", taxonomy=tmp_path / "none.csv")


def test_folders_are_groups_and_equal_names_in_two_places_are_two_groups() -> None:
    parents = {"a": ("Laridae", "Larus"), "b": ("Laridae", "other"), "c": ("Alcidae", "other")}
    assert of_folders(parents) == Taxonomy(
        ("group", "wider group 1"),
        {"a": ("Larus", "Laridae"), "b": ("Laridae/other", "Laridae"), "c": ("Alcidae/other", "Alcidae")},
    )
    assert of_folders({"a": (), "b": ()}) is None is of_folders({"a": ("x",), "b": ()})
