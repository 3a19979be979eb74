"""Text in pictures: letters that no font has are written as numbers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from wingbar.explain import lettering
from wingbar.explain.lettering import fitted, fonts, has_letter, lettered, paragraph, write


def test_a_letter_without_a_glyph_is_written_as_its_number() -> None:
    assert lettered("wren \ufdd0", 20)[0] == "wren \\ufdd0"  # a code point that is no letter in any font
    assert lettered("wren Ü", 20)[0] == "wren Ü"


def test_pillows_own_font_is_always_there_and_knows_what_it_lacks() -> None:
    pillows = fonts(20)[-1]
    assert (
        has_letter(pillows, "a")
        and has_letter(pillows, "~")
        and has_letter(pillows, " ")
        and not has_letter(pillows, "鳥")
    )


def test_what_is_too_wide_is_cut() -> None:
    shown, font = fitted("a very long name indeed " * 9, 20, 200)
    assert shown.startswith("a very") and shown.endswith("...") and font.getlength(shown) <= 200
    assert fitted("short", 20, 200)[0] == "short"


def test_hostile_text_is_drawn_on_its_line() -> None:
    image = Image.new("RGB", (300, 90), "white")
    write(ImageDraw.Draw(image), (0, 30), "one\ntwo\n\n\nthree \x00 \u202e \udcff", 20, width=300)
    dark = np.flatnonzero((np.asarray(image.convert("L")) < 128).any(1))
    assert dark.min() >= 30 and dark.max() < 60


def test_paragraphs_break_at_blanks_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        lines: list[str] = []
        patch.setattr(lettering, "write", lambda draw, at, text, size, **more: lines.append(text))
        paragraph("many more words " * 6, 16, 300)
    assert len(lines) >= 3 and " ".join(lines).split() == ["many", "more", "words"] * 6
    assert all(lettering.fitted(line, 16, 300)[0] == line for line in lines)
    one, two = paragraph("few words", 16, 300), paragraph("many more words " * 6, 16, 300)
    assert one.width == two.width == 300 and two.height >= 3 * one.height
    assert paragraph("x" * 400, 16, 300).height == one.height  # a word too long is cut
