"""The demo and its pictures, small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wingbar import demo as module


def test_the_demo_ends_with_a_table_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWN", {"classes": 3, "train": 8, "test": 3, "size": (96, 72)})
    small = replace(module.SETTINGS, size=48, eval_size=None, epochs=1, follow_epochs=1, workers=0)
    monkeypatch.setattr(module, "SETTINGS", small)
    text = module.demo(tmp_path / "demo")
    assert "plain classifier" in text and "OPAM" in text and "centre box" in text and "fewer errors" in text
    assert [path.name for path in sorted((tmp_path / "demo" / "pictures").iterdir())] == [
        "001.png",
        "002.png",
        "003.png",
    ]
    # The plain net is OPAM's FilterNet: trained once.
    filternets = [tmp_path / "demo" / run / "steps/filternet/result.safetensors" for run in ("plain", "opam")]
    assert filternets[0].read_bytes() == filternets[1].read_bytes()
    assert module.demo(tmp_path / "demo") == text
