"""Errors that a user can mend. Each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from wingbar._system.text import JOINERS, visible


class WingbarError(Exception):
    """Base of all errors shown without a traceback (exit code 2)."""

    teller: int | None = None
    """Of several processes that raise it together, the rank of the one that tells it; None: each its own."""

    def __str__(self) -> str:
        """The sentence, fit for a terminal: files and the libraries that read them get into it word for word."""
        return visible(super().__str__(), JOINERS + "\n")


class DataError(WingbarError, ValueError):
    """A data set cannot be used as it is: names the file or line and the remedy."""


class PictureError(WingbarError):
    """One picture cannot be read. Among many pictures it is skipped, counted and listed."""


class PictureTooLarge(PictureError):
    """A picture has more pixels than are decoded."""


class PictureNeedsMemory(PictureError, MemoryError):
    """There was no memory to decode a picture, which may be sound."""


class WeightsError(WingbarError):
    """Network weights are missing, unreadable or do not fit the network."""


class ConfigError(WingbarError, ValueError):
    """An option or a configuration key is unknown or has an impossible value."""


class RunError(WingbarError):
    """A run folder is missing, damaged, in use, or lacks what was asked for."""


class ExportError(WingbarError):
    """A model cannot be exported, or the exported one does not say the same."""


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` for the closest known name, or ``""`` when none is close."""
    close = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
