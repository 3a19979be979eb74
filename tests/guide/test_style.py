"""Colours that can be read: WCAG 2.2, 1.4.3 and 1.4.11."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from wingbar.explain.figures import luminance

CSS = files("wingbar.guide").joinpath("style.css").read_text(encoding="utf-8")


def palettes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r"^\s*(:root[^{]*)\{([^}]*--ground[^}]*)\}", CSS, re.MULTILINE)
    return {f"{i} {name.strip()}": dict(re.findall(r"--(\w+): (#\w+)", body)) for i, (name, body) in enumerate(blocks)}


def contrast(a: str, b: str) -> float:
    def light(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
        return luminance((int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)))

    low, high = sorted((light(a), light(b)))
    return (high + 0.05) / (low + 0.05)


def test_the_ratio_is_wcags() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21) and contrast("#777777", "#ffffff") == pytest.approx(
        4.48, abs=0.01
    )


@pytest.mark.parametrize("name", palettes())
def test_text_and_focus_stand_out_in_light_dark_and_print(name: str) -> None:
    colours = palettes()[name]
    for ground in ("ground", "card"):
        for text in ("ink", "soft", "accent"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        if "focus" in colours:
            assert contrast(colours["focus"], colours[ground]) >= 3, ground
    assert contrast(colours["bar"], colours["track"]) >= 3


def test_there_are_light_dark_by_system_dark_by_choice_and_print() -> None:
    assert len(palettes()) == 4
    assert "http" not in CSS and "@import" not in CSS and "url(" not in CSS
