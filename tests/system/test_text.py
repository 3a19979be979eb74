"""Hostile names, made fit to be shown and to be part of a file name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wingbar._system.text import display_names, folded, nfc, printable, several, slug, spelt_out
from wingbar.errors import DataError


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("house sparrow", "house sparrow"),
        ("two\nlines\tand\r\nmore", "two lines and more"),
        ("a\x00b\x1bc", "a\\x00b\\x1bc"),
        ("turned \u202e round", "turned \\u202e round"),
        ("lone \udcff surrogate", "lone \\udcff surrogate"),
        ("می\u200cروم 鳥 Ü", "می\u200cروم 鳥 Ü"),
        ("\n", "'\\n'"),
        ("", "''"),
        ("<script>", "<script>"),  # the page escapes it
    ],
)
def test_names_are_shown_on_one_line_and_nothing_hides(given_name: str, shown: str) -> None:
    assert printable(given_name) == shown


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_shown_can_be_written_and_is_bounded(text: str) -> None:
    shown = printable(text, limit=50)
    assert 0 < len(shown) <= 50 and shown.encode() and not re.search(r"[\x00-\x1f\u202a-\u202e\u2066-\u2069]", shown)


def test_an_errors_sentence_is_fit_for_a_terminal() -> None:
    assert str(DataError("a\x1b[2J\udcff\u202eb:\n  Ü 鳥")) == "a\\x1b[2J\\udcff\\u202eb:\n  Ü 鳥"


def test_class_names_are_made_nice_only_where_they_stay_apart() -> None:
    assert display_names(["001.Black_footed_Albatross", "house_sparrow"]) == ["Black footed Albatross", "house sparrow"]
    assert display_names(["a_b", "a b", "c_d"]) == ["a_b", "a b", "c d"]
    assert display_names(["001.wren", "002.wren", "747", "2_4"]) == ["001.wren", "002.wren", "747", "2 4"]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=[])))
def test_a_slug_is_safe_in_a_path(text: str) -> None:
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", slug(text)) and len(slug(text)) <= 40


def test_slugs() -> None:
    assert slug("../../etc/Pässword\x00") == "etc-password" and slug("鳥") == ""


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Zwergs\u00e4ger", "Zwergsa\u0308ger"),
        ("Crane", "crane"),
        ("crane", "crane "),
        ("house  sparrow", "House sparrow"),
        ("cra\u200bne", "\ufeffcrane"),
        ("STRASSE", "stra\u00dfe"),
        ("\u0130bis", "i\u0307bis"),
    ],
)
def test_names_that_look_the_same_are_the_same(a: str, b: str) -> None:
    assert folded(a) == folded(b) and a != b and spelt_out(a) != spelt_out(b)
    assert spelt_out(a).isascii()


@given(st.text(st.characters(exclude_categories=[])))
def test_folding_and_composing_end(name: str) -> None:
    assert nfc(nfc(name)) == nfc(name) and folded(name) == folded(nfc(name)) and folded(folded(name)) == folded(name)


def test_other_names_are_others() -> None:
    assert folded("crane") != folded("cranes") and folded("tern") != folded("t\u00e9rn")


def test_a_count_and_its_noun_agree() -> None:
    assert [several(count, noun) for noun in ("file", "class") for count in (0, 1, 2)] == [
        "0 files", "1 file", "2 files", "0 classes", "1 class", "2 classes",
    ]  # fmt: skip
