"""The demo and its pictures, small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wingbar import demo as module
from wingbar.explain import OBJECT_COLOUR, PANEL_SIDE, PART_COLOURS, overlay, panel
from wingbar.images import Picture
from wingbar.recognizer import Part, Prediction


def test_the_demo_ends_with_a_table_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWN", {"classes": 3, "train": 8, "test": 3, "size": (96, 72)})
    small = replace(module.SETTINGS, size=48, test_size=0, epochs=1, follow_epochs=1, workers=0)
    monkeypatch.setattr(module, "SETTINGS", small)
    told = module.demo(tmp_path / "demo")
    assert "plain classifier" in told and "OPAM" in told and "centre box" in told and "fewer errors" in told
    assert [path.name for path in sorted((tmp_path / "demo" / "pictures").iterdir())] == [
        "001.png",
        "002.png",
        "003.png",
    ]
    # The plain net is OPAM's FilterNet: trained once.
    filternets = [tmp_path / "demo" / run / "steps/filternet/result.safetensors" for run in ("plain", "opam")]
    assert filternets[0].read_bytes() == filternets[1].read_bytes()
    assert module.demo(tmp_path / "demo") == told


def test_a_panel_shows_boxes_heat_and_hostile_names() -> None:
    pixels = np.full((120, 160, 3), 128, np.uint8)
    saliency = np.zeros((4, 4), np.float32)
    saliency[0, 0] = 1.0
    parts = (Part((40, 30, 80, 60), 1, {"a": 1.0}),)
    prediction = Prediction("x", (160, 120), {"<b>\nÜ\x00 鳥": 0.5}, (20, 15, 120, 90), parts, map=saliency)
    sheet = panel(Picture(pixels, (160, 120)), prediction)
    assert sheet.size[1] > PANEL_SIDE and sheet.mode == "RGB"
    colours = {colour for _, colour in sheet.getcolors(maxcolors=1 << 24)}
    assert OBJECT_COLOUR in colours and PART_COLOURS[1] in colours
    heat = np.asarray(sheet.crop((sheet.width // 2 + 5, 0, sheet.width, PANEL_SIDE))).mean(2)
    assert heat[:100, :100].mean() > 3 * heat[-100:, -100:].mean()


def test_overlay_darkens_where_the_net_did_not_look() -> None:
    pixels = np.full((2, 2, 3), 200, np.uint8)
    shown = overlay(pixels, np.array([[0.0, 0.5], [1.0, 1.0]], np.float32))
    assert shown[0, 0, 0] == 30 and shown[1, 1, 0] == 200 and 30 < shown[0, 1, 0] < 200
    assert Image.fromarray(shown).size == (2, 2)
