"""Pictures that are read, and searched for candidates, in other threads while the nets are at work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Int32
from numpy import ndarray

from wingbar.errors import PictureError
from wingbar.images import READ_SIDE, Member, Picture, Source, read_picture
from wingbar.opam.proposals import ProposalSettings, propose

NO_BOXES = np.zeros((0, 4), np.int32)


class Begun:
    """A picture being read and searched in another thread."""

    def __init__(self, source: Source, pool: Executor, search: ProposalSettings | None) -> None:
        self.path = str(source) if isinstance(source, (str, Path, Member)) else None
        self._picture = pool.submit(_read, source)
        # A pool's tasks begin in order, so this one never waits for a reading that cannot begin.
        self._candidates = pool.submit(self._search, search)

    def picture(self) -> Picture | str:
        """The picture, or why it cannot be read."""
        return self._picture.result()

    def candidates(self) -> Int32[ndarray, "_ 4"]:
        """Its candidate boxes; none where nobody asks for them."""
        return self._candidates.result()

    def _search(self, settings: ProposalSettings | None) -> Int32[ndarray, "_ 4"]:
        picture = self.picture() if settings else None
        return propose(picture, settings) if isinstance(picture, Picture) and settings else NO_BOXES


def begin(
    pool: Executor, pictures: Iterator[Source], most: int, search: ProposalSettings | None
) -> tuple[list[Begun], Exception | None]:
    """Begin the next pictures, ``most`` at most; returns them, and what stopped the taking if not their end."""
    begun: list[Begun] = []
    try:
        for source in islice(pictures, most):
            begun.append(Begun(source, pool, search))
    except Exception as failure:  # of whoever hands out the pictures
        return begun, failure
    return begun, None


def _read(source: Source) -> Picture | str:
    try:
        return read_picture(source, short_side=READ_SIDE)
    except PictureError as error:
        return str(error)
