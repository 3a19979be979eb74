"""Hundreds of broken CUB lists and CSV tables: the data set, or a sentence that names the file. Never another error."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from bounds import TIMES, in_time
from hostile_lists import CUB, TABLE, hostile_texts, write_set

from wingbar.data import Dataset, load
from wingbar.errors import DataError


def loaded(source: Path, name: str, what: str) -> Dataset | None:
    """The data set at ``source``, all of it within; None where it is refused with a sentence."""
    with in_time(what):
        try:
            dataset = load(source)
        except DataError as error:
            message = str(error)
            assert message.isprintable() and len(message) < 3000, (what, len(message))
            assert name in message or str(source.parent if source.is_file() else source) in message, what
            return None
    root = dataset.root.resolve()
    assert all(sample.path.resolve().is_relative_to(root) for sample in dataset.samples), what
    assert all(0 <= sample.label < len(dataset.classes) for sample in dataset.samples), what
    return dataset


@pytest.mark.parametrize("name", CUB)
def test_a_broken_cub_list_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    root = write_set(tmp_path / "set")
    refused = 0
    for what, content in hostile_texts(CUB[name], TIMES):
        (root / name).write_bytes(content)
        refused += loaded(root, name, what) is None
    assert refused > 40


def test_a_broken_table_is_refused_with_its_name(tmp_path: Path) -> None:
    table = write_set(tmp_path / "set") / "birds.csv"
    refused = 0
    for what, content in hostile_texts(TABLE, TIMES):
        table.write_bytes(content)
        refused += loaded(table, table.name, what) is None
    assert refused > 40


@pytest.mark.parametrize("name", [*CUB, "birds.csv"])
def test_the_order_of_lines_does_not_matter(tmp_path: Path, name: str) -> None:
    """Ids and paths say what belongs together, not places; what must not depend on order does not."""
    root = write_set(tmp_path / "set")
    (root / "birds.csv").write_text(TABLE)
    source = root / name if name == "birds.csv" else root
    expected = load(source)
    lines = (root / name).read_text().splitlines(keepends=True)
    head, body = (lines[:1], lines[1:]) if name == "birds.csv" else ([], lines)
    for seed in range(5):
        random.Random(seed).shuffle(body)
        (root / name).write_text("".join(head + body))
        dataset = load(source)
        assert dataset.classes == expected.classes
        assert sorted(dataset.samples, key=str) == sorted(expected.samples, key=str)
        assert name == "birds.csv" or dataset == expected
