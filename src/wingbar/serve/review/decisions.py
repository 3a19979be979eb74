"""What a person decided, kept at once and whole.

    OUT/decisions.json  every decision in the order in which it was made, with a checksum
    OUT/labels.csv      the pictures that were given a class: path,label, as `train` reads it
    OUT/lock            the lock of the reviewer who is at work

A decision is on the disk before the page shows the next picture. Only `undo` takes one back, the last one first.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from wingbar._system.files import read_record, write_bytes, write_record
from wingbar.errors import RunError
from wingbar.exchange import table
from wingbar.exchange.answers import PictureAnswer

Kind = Literal["confirmed", "corrected", "new", "none", "skipped"]
KINDS: tuple[Kind, ...] = ("confirmed", "corrected", "new", "none", "skipped")
LABELLED: tuple[Kind, ...] = ("confirmed", "corrected", "new")
"""Decisions that give a picture a class."""


class Decisions:
    """The decisions of a folder, which the caller has locked.

    Raises RunError where they are damaged, and where ``labels.csv`` is there without them: it is the user's.
    """

    def __init__(self, folder: Path) -> None:
        self.record, self.labels = folder / "decisions.json", folder / "labels.csv"
        if self.labels.exists() and not self.record.exists():
            raise RunError(
                f"{self.labels} is there already, and was not written by a review: nothing is overwritten. Choose "
                "another --out."
            )
        self._keep(self._read() if self.record.exists() else [])  # a kill may have come between the two files

    def of(self, path: str) -> str | None:
        """What was decided about a picture; None where nothing was."""
        return self._last.get(path)

    def decide(self, path: str, kind: Kind, label: str = "") -> None:
        """Keep a decision. Raises ValueError for a picture that has one, but for a skipped one."""
        if self.of(path) not in (None, "skipped"):
            raise ValueError("decided already")
        self._keep([*self.made, {"path": path, "kind": kind, "label": label}])

    def undo(self) -> str:
        """Take the last decision back, of which there is one; returns its picture."""
        path = self.made[-1]["path"]
        self._keep(self.made[:-1])
        return path

    def counts(self) -> dict[str, int]:
        """How many pictures were decided in each way."""
        return dict.fromkeys(KINDS, 0) | Counter(self._last.values())

    def _keep(self, made: list[dict[str, str]]) -> None:
        write_record(self.record, {"made": made})
        self.made, self._last = made, {one["path"]: one["kind"] for one in made}
        labels = [PictureAnswer(one["path"], one["label"]) for one in made if one["kind"] in LABELLED]
        write_bytes(self.labels, table.encode(labels))

    def _read(self) -> list[dict[str, str]]:
        try:
            made = read_record(self.record)["made"]
            for one in made:
                path, kind, label = one["path"], one["kind"], one["label"]
                if kind not in KINDS or not isinstance(path, str) or not isinstance(label, str):
                    raise ValueError(f"the decision {kind!r}")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise RunError(
                f"{self.record}: damaged ({error}). What was given a class is in {self.labels}: keep a copy of it, and "
                "choose another --out."
            ) from None
        return list(made)
