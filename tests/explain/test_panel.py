"""The sheet of one picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wingbar.errors import PictureError
from wingbar.explain import panel
from wingbar.explain.figures import Canvas, ink_on, luminance, part_colour
from wingbar.explain.overlays import FIRST, PARTS, SECOND, diverging, heat
from wingbar.images import Picture
from wingbar.opam.taxonomy import fit_lineages
from wingbar.prediction import Part, Prediction

HOSTILE = "<b>\nÜ\x00 鳥 \u202e" + "long " * 80


def prediction(size: tuple[int, int], parts: int = 2, path: str | None = None) -> Prediction:
    scores = {HOSTILE: 0.5, "robin": 0.4, "tit": 0.1}
    boxes = [(0, 0, max(size[0] // 2, 1), max(size[1] // 2, 1))] * parts
    evidence = np.zeros((3, 4, 4), np.float32)
    evidence[0, 0, 0] = evidence[1, 3, 3] = 1.0
    saliency = np.zeros((4, 4), np.float32)
    saliency[0, 0] = 1.0
    return Prediction(
        path, size, scores, (0, 0, *size), tuple(Part(box, k, scores) for k, box in enumerate(boxes)),
        {"picture": scores, "parts": scores}, saliency, evidence=evidence,
    )  # fmt: skip


@pytest.mark.parametrize(("size", "parts"), [((160, 120), 2), ((30, 400), 6), ((900, 6), 1), ((1, 1), 0)])
def test_any_shape_of_picture_and_any_name_fits_the_sheet(size: tuple[int, int], parts: int) -> None:
    pixels = np.full((size[1], size[0], 3), 128, np.uint8)
    sheet = panel(Picture(pixels, size), prediction(size, parts))
    assert sheet.width == 1200 and sheet.mode == "RGB" and 500 < sheet.height < 1800
    colours = {colour for _, colour in sheet.getcolors(maxcolors=1 << 24)}
    assert {FIRST, SECOND, *(part_colour(k) for k in range(parts))} <= colours


def test_heat_and_contrast_show_where() -> None:
    pixels = np.full((120, 160, 3), 128, np.uint8)
    from wingbar.explain import contrast
    from wingbar.explain.figures import contrast_figure, heat_figure

    canvas = Canvas(Picture(pixels, (160, 120)), 400, 300)
    bright = np.asarray(heat_figure(canvas, prediction((160, 120)))).mean(2)
    assert bright[:60, :60].mean() > 2 * bright[-60:, -60:].mean()
    coloured = np.asarray(contrast_figure(canvas, contrast(prediction((160, 120)))), int)
    red_less_blue = coloured[..., 0] - coloured[..., 2]
    assert red_less_blue[5:15, 5:15].min() > 50 and red_less_blue[-15:-5, -15:-5].max() < -50
    assert abs(red_less_blue[140:160, 190:210]).max() < 10


def test_overlays_by_hand() -> None:
    pixels = np.full((2, 2, 3), 200, np.uint8)
    shown = heat(pixels, np.array([[0.0, 0.5], [1.0, 1.0]], np.float32))
    assert shown[0, 0, 0] == 30 and shown[0, 1, 0] == 115 and shown[1, 1, 0] == 200
    shares = diverging(np.zeros((1, 3, 3), np.uint8), np.array([[0.0, 1.0, -1.0]], np.float32))
    assert shares[0, 0].tolist() == [110, 110, 110]
    assert shares[0, 1].tolist() == [round(0.15 * 110 + 0.85 * v) for v in FIRST]
    assert shares[0, 2].tolist() == [round(0.15 * 110 + 0.85 * v) for v in SECOND]


@pytest.mark.parametrize("colour", [FIRST, SECOND, *PARTS, (255, 255, 255)])
def test_labels_contrast_with_their_plates(colour: tuple[int, int, int]) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    light, dark = sorted((luminance(colour), luminance(ink_on(colour))), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
    assert luminance((255, 255, 255)) == pytest.approx(1) and luminance((0, 0, 0)) == 0


def test_boxes_are_carried_into_the_frame() -> None:
    canvas = Canvas(Picture(np.zeros((50, 100, 3), np.uint8), (200, 100)), 400, 300)
    assert (
        canvas.fitted == (400, 200) and canvas.size == (400, 200) and canvas.box((20, 10, 40, 30)) == (40, 20, 80, 60)
    )
    tall = Canvas(Picture(np.zeros((100, 10, 3), np.uint8), (10, 100)), 400, 300)
    assert tall.fitted == (30, 300) and tall.corner == (185, 0) and tall.box((0, 0, 10, 100)) == (185, 0, 215, 300)


def test_a_prediction_plots_itself(tmp_path: Path) -> None:
    pixels = np.full((30, 40, 3), 90, np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    named = prediction((40, 30), path=str(tmp_path / "a.png")).plot()
    assert named.size[0] == 1200
    assert prediction((40, 30)).plot(pixels).size == named.size
    with pytest.raises(PictureError, match=r"plot\(picture\)"):
        prediction((40, 30)).plot()
    with pytest.raises(PictureError, match="same one"):
        prediction((40, 31)).plot(pixels)
    with pytest.raises(PictureError, match="no such file"):
        prediction((40, 30), path=str(tmp_path / "b.png")).plot()
    assert json.dumps(prediction((40, 30)).to_dict())


def test_a_stranger_and_a_doubtful_answer_say_so_above_the_sheet() -> None:
    picture, plain = Picture(np.full((120, 160, 3), 128, np.uint8), (160, 120)), prediction((160, 120))
    stranger = replace(plain, known=0.1, least_known=0.2)
    doubtful = replace(plain, held_out=(0.3,) * 99)
    assert panel(picture, stranger).height > panel(picture, plain).height < panel(picture, doubtful).height
    assert panel(picture, replace(stranger, known=0.3)).height == panel(picture, plain).height
    assert "none of 3 classes, most like" in repr(stranger)
    names = list(plain.scores)
    sure = np.full((60, 3), 0.01, np.float32) + 0.97 * np.eye(3, dtype=np.float32)[np.arange(60) % 3]
    lineages = fit_lineages(None, names, sure, np.arange(60) % 3)
    assert panel(picture, replace(plain, lineages=lineages)).height > panel(picture, plain).height  # no answer at 95 %
