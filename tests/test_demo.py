"""The demo and its pictures, small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wingbar import demo as module
from wingbar.boxes import Box
from wingbar.data.sample import Keypoint, Sample
from wingbar.data.synthetic import SPECIES, telling_points
from wingbar.prediction import Part, Prediction

TINY = {"net": "res2net_nano", "weights": "none", "size": 48, "epochs": 1, "follow_epochs": 1, "workers": 0}


def test_the_demo_ends_with_a_table_pictures_and_a_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWN", {"classes": 3, "train": 8, "test": 3, "size": (96, 72)})
    monkeypatch.setattr(module, "SETTINGS", replace(module.SETTINGS, **TINY))
    text = module.demo(tmp_path / "demo")
    assert "one plain net" in text and "field marks" in text and "centre box" in text and "of the pictures." in text
    guide = tmp_path / "demo" / "field-marks" / "guide" / "index.html"
    assert text.splitlines()[0].startswith(f"Look at {guide} ") and guide.is_file()
    assert sorted(path.name for path in (tmp_path / "demo" / "pictures").iterdir()) == ["001.png", "002.png", "003.png"]
    assert module.demo(tmp_path / "demo") == text


def test_what_tells_a_species_is_where_it_is_painted() -> None:
    points = {name: telling_points(label) for label, (name, _) in enumerate(SPECIES)}
    assert points["Plain Wren"] == ()
    assert points["Yellow-billed Barwing"] == ("beak", "left wing", "right wing")
    assert points["Red-crowned Tiptail"] == ("crown", "tail") and points["Needle-billed Wren"] == ("beak",)


def test_a_part_counts_where_it_holds_the_species_mark(tmp_path: Path) -> None:
    crown = Keypoint("crown", 10.0, 10.0)
    samples = [Sample(tmp_path, "a.jpg", label, "test", keypoints=(crown,)) for label in (0, 2, 2, 3)]
    boxes: list[Box] = [(0, 0, 20, 20), (0, 0, 20, 20), (15, 15, 20, 20), (0, 0, 20, 20)]
    predictions = [Prediction(None, (30, 30), {"a": 1.0}, box, (Part(box, 0, {"a": 1.0}),)) for box in boxes]
    # The plain wren has no mark; the wren with the wing bar shows its crown, and no wing.
    assert module.marks_line(samples, predictions).startswith("A part holds what tells the species in 33.3 % ")
