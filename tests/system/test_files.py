"""Files that are complete or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wingbar._system.files import write_json


@pytest.mark.parametrize("text", ["鳥 Ü", "a\udcffb", "\\udcff", '"\n\x00\u2028', "\U0001f426"])
def test_json_gives_back_any_name(tmp_path: Path, text: str) -> None:
    write_json(tmp_path / "a" / "x.json", {text: [text]})
    assert json.loads((tmp_path / "a" / "x.json").read_text(encoding="utf-8")) == {text: [text]}


def test_what_json_does_not_have_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", float("nan"))
    assert list(tmp_path.iterdir()) == []
