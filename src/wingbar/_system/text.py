"""Class names and file names, made fit to be shown, compared, or used in a file name.

They are hostile input: a folder may be called ``<script>``, hold line breaks, or turn the writing direction.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

JOINERS = "\u200c\u200d"
"""Invisible, yet part of the spelling in Persian, in Indian scripts and of emoji."""


def printable(text: str, limit: int = 200) -> str:
    """``text`` in one line of at most ``limit`` letters: white space as single blanks, unprintable ones as ``\\x00``.

    Unprintable are control characters, lone surrogates and marks that change the writing direction.
    """
    shown = visible(" ".join(text.split())) or ascii(text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def several(count: int, noun: str) -> str:
    """A count with its noun: ``1 picture``, ``3 classes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{'es' if noun.endswith('s') else 's'}"


def visible(text: str, left: str = JOINERS) -> str:
    """``text`` with every unprintable letter as an escape (``\\x1b``), except those in ``left``."""
    return "".join(letter if letter.isprintable() or letter in left else escaped(letter) for letter in text)


def escaped(letter: str) -> str:
    """An unprintable letter as Python's escape."""
    return ascii(letter)[1:-1]


def nfc(text: str) -> str:
    """The one spelling that names are kept and compared in: Unicode's NFC. macOS may write ``ä`` as two letters."""
    return unicodedata.normalize("NFC", text)


def folded(name: str) -> str:
    """A name without case, repeated spaces and invisible letters, to compare names by.

    Two names with the same result look alike, or nearly so. Unicode's canonical caseless matching (definition D145).
    """
    letters = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
    return nfc(" ".join("".join(x for x in letters if unicodedata.category(x) != "Cf").split()))


def plain_letters(name: str) -> str:
    """`folded`, without accents, punctuation and a number in front: ``002.Säger_Gans`` and ``sager-gans`` are equal.

    Only the accents of European scripts go: in others such marks make other words.
    """
    letters = unicodedata.normalize("NFKD", folded(re.sub(r"^\d+[._ -]+(?=\D)", "", name)))
    bare = (x for x in letters if not 200 <= unicodedata.combining(x) <= 240)
    return nfc(" ".join("".join(" " if unicodedata.category(x)[0] in "PSZ" else x for x in bare).split()))


def spelt_out(name: str) -> str:
    """A name in ASCII, quoted, so that names that look the same are told apart: ``'cr\\xe2ne '``."""
    return ascii(name)


def display_names(classes: Sequence[str]) -> list[str]:
    """Class names for people: ``001.Black_footed_Albatross`` as ``Black footed Albatross``.

    Names as they are given wherever two of them would look the same.
    """
    plain = [printable(name) for name in classes]
    nice = [printable(re.sub(r"^\d+[._ -]+(?=\D)", "", name).replace("_", " ")) for name in classes]
    counted = {name: nice.count(name) for name in nice}
    return [short if counted[short] == 1 else full for short, full in zip(nice, plain, strict=True)]


def slug(text: str, limit: int = 40) -> str:
    """Letters a-z, digits and hyphens only, for file names beside a number that makes them unique; may be empty."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only)[:limit].strip("-")
