"""Lists of a place: names are found as people write them, and what is not found is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from wingbar.data.places import read_only, read_prior
from wingbar.errors import DataError

CLASSES = ("001.Black_footed_Albatross", "house_sparrow", "Möwe", "Wren", "wren ")


def test_a_list_finds_names_as_people_write_them(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text(
        "\ufeff# seen here\n\nBlack-footed albatross\nHOUSE SPARROW\nMo\u0308we\nWren\nhouse_sparow\nyeti\n"
    )
    result, lines = read_only(file, CLASSES)
    assert result == ["001.Black_footed_Albatross", "house_sparrow", "Möwe", "Wren"]
    assert "'house_sparow' is no class of the model. Did you mean 'house_sparrow'?" in lines[0] and "'yeti'" in lines[1]


def test_the_list_of_a_country_is_told_in_short(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("\n".join(["Wren", *(f"species {number}" for number in range(400))]))
    result, lines = read_only(file, CLASSES)
    assert result == ["Wren"] and len(lines) == 6 and "395 more names" in lines[-1]


def test_a_table_tells_how_frequent_each_is(tmp_path: Path) -> None:
    file = tmp_path / "place.csv"
    file.write_text("prior;label\n12;Wren\n0.5;house sparrow\n3;yeti\n")
    values, lines = read_prior(file, CLASSES)
    assert values == {"Wren": 12.0, "house_sparrow": 0.5} and len(lines) == 1


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("list.txt", "wrenn\n", "names no class of the model. Did you mean"),
        ("list.txt", "", "names no class"),
        ("list.txt", b"\xff\xfe\xfa", "no UTF-8"),
        ("list.txt", None, "cannot be read"),
        ("place.csv", "label,prior\nWren,many\n", "line 2: the prior 'many'"),
        ("place.csv", "label,prior\nWren,-1\n", "line 2: the prior '-1'"),
        ("place.csv", "label,prior\nhouse sparrow,1\nHouse-Sparrow,2\n", "line 3: 'house_sparrow' is there twice"),
        ("place.csv", "label,count\nWren,1\n", "no column 'prior'"),
        ("place.csv", "label,prior\nyeti,1\n", "names no class"),
    ],
)
def test_a_list_that_cannot_be_used_is_told(tmp_path: Path, name: str, content: str | bytes | None, told: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=told):
        (read_only if name == "list.txt" else read_prior)(file, CLASSES)
