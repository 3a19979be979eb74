"""The desk: pictures in their order, each with the answer and the labelled pictures that it looks most like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from wingbar._system.text import folded, nfc, printable
from wingbar.errors import PictureError
from wingbar.images import READ_SIDE, cut_squares, read_picture, small_jpeg
from wingbar.opam.maps import unit
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer
from wingbar.serve.review.decisions import LABELLED, Decisions, Kind
from wingbar.serve.review.worth import doubt, order_of_worth

LOOK_ALIKES = 4
SHOWN, SMALL = 1024, 240
"""Longer sides, in pixels, of the picture under review and of the look-alikes."""
LONGEST = 200
"""Letters of a class's name, at most."""


@dataclass(frozen=True)
class Reference:
    """A picture whose class is known."""

    path: Path
    label: str


@dataclass(frozen=True)
class Undecided:
    """A picture to decide about."""

    name: str
    path: Path
    prediction: Prediction
    alike: tuple[int, ...]
    """Places of the labelled pictures that it looks most like."""


class Desk:
    """All that the page shows and does."""

    def __init__(
        self,
        items: Sequence[Undecided],
        labelled: Sequence[Reference],
        classes: Sequence[str],
        decisions: Decisions,
    ) -> None:
        """``items`` are in the order in which they are shown."""
        self.items, self.labelled, self.classes, self.decisions = items, labelled, list(classes), decisions
        self.by_name = {item.name: item for item in items}
        self.start = len(decisions.made)
        self.skipped: set[str] = set()
        """Pictures that were skipped since the start: they come again at the next one."""
        self.jpeg = lru_cache(64)(_jpeg)

    def state(self) -> dict[str, Any]:
        """What the page shows, as JSON knows it."""
        left = [number for number, item in enumerate(self.items) if self._open(item)]
        return {
            "left": len(left), "total": len(self.items), "counts": self.decisions.counts(),
            "undo": len(self.decisions.made) > self.start,
            "classes": self.known_classes(), "item": self._shown(left[0]) if left else None,
        }  # fmt: skip

    def known_classes(self) -> list[str]:
        """The model's classes, and those that the reviewer added."""
        added = [one["label"] for one in self.decisions.made if one["kind"] in LABELLED]
        return list(dict.fromkeys([*self.classes, *added]))

    def decide(self, path: str, kind: str, label: str) -> None:
        """Keep a decision about the item of this name. A number would be another picture's after a new start.

        Raises ValueError for an impossible decision, or one about a decided picture.
        """
        item = self.by_name.get(path)
        if item is None or not self._open(item):
            raise ValueError("this picture is decided already, or there is none")
        if kind == "label":
            name = self._class_of(label)
            of_model = name in self.classes
            decision: Kind = "confirmed" if name == item.prediction.label else "corrected" if of_model else "new"
            self.decisions.decide(item.name, decision, name)
        elif kind in ("none", "skipped") and kind in get_args(Kind):
            self.decisions.decide(item.name, "none" if kind == "none" else "skipped")
            if kind == "skipped":
                self.skipped.add(item.name)
        else:
            raise ValueError("no such decision")

    def undo(self) -> None:
        """Take back the last decision that was made since the start; before that, none."""
        if len(self.decisions.made) > self.start:
            self.skipped.discard(self.decisions.undo())

    def _open(self, item: Undecided) -> bool:
        return item.name not in self.skipped and self.decisions.of(item.name) in (None, "skipped")

    def _class_of(self, label: str) -> str:
        """The known class of this name, whatever its case; else a new one. Raises ValueError for no name."""
        known = self.known_classes()
        if label in known:
            return label
        name = nfc(" ".join(label.split()))
        if not name or len(name) > LONGEST or printable(name) != name:
            raise ValueError(f"a class's name has 1 to {LONGEST} letters, all of which can be printed")
        alike = [one for one in known if folded(one) == folded(name)]
        return alike[0] if len(alike) == 1 else name

    def _shown(self, number: int) -> dict[str, Any]:
        item = self.items[number]
        alike = [{"number": one, "label": self.labelled[one].label} for one in item.alike]
        return {**item.prediction.to_dict(), "number": number, "path": item.name, "alike": alike}


def _jpeg(path: Path, side: int) -> bytes:
    return small_jpeg(read_picture(path, short_side=min(side, READ_SIDE)), side)


def embed(
    recognizer: Recognizer, paths: Sequence[Path], batch_size: int = 16
) -> Iterator[Float32[ndarray, "channels"] | None]:
    """The direction of each whole picture's features; None for a picture that cannot be read."""
    for start in range(0, len(paths), batch_size):
        read = [_read(path) for path in paths[start : start + batch_size]]
        good = [picture for picture in read if picture is not None]
        side = recognizer.card.picture_size
        if good:
            features = recognizer.runtime.picture(cut_squares(good, [None] * len(good), side)).features
            vectors = iter(unit(features.astype(np.float64)))
        yield from (None if picture is None else next(vectors) for picture in read)


def _read(path: Path) -> Any:
    try:
        return read_picture(path, short_side=READ_SIDE)
    except PictureError:
        return None


def lay_out(
    named: Sequence[tuple[str, Path, Prediction]],
    features: Sequence[Float32[ndarray, "channels"] | None],
    labelled: Sequence[Float32[ndarray, "channels"] | None],
) -> list[Undecided]:
    """Items in the order of their worth, with the places of the labelled pictures that each looks most like.

    Pictures that could not be read are left out.
    """
    good = [
        (one, vector)
        for one, vector in zip(named, features, strict=True)
        if vector is not None and one[2].error is None
    ]
    if not good:
        return []
    vectors = np.stack([vector for _, vector in good])
    places = [place for place, vector in enumerate(labelled) if vector is not None]
    known = np.stack([vector for vector in labelled if vector is not None]) if places else vectors[:0]
    alike = np.argsort(-(vectors @ known.T), axis=1, kind="stable")[:, :LOOK_ALIKES]
    doubts = np.array([doubt(prediction.scores) for (_, _, prediction), _ in good])
    items = [
        Undecided(name, path, prediction, tuple(places[one] for one in row))
        for ((name, path, prediction), _), row in zip(good, alike.tolist(), strict=True)
    ]
    return [items[place] for place in order_of_worth(doubts, vectors, known)]
