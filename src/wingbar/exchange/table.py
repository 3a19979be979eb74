"""One table for spreadsheets, and for `train`, which reads its columns ``path`` and ``label``.

UTF-8 with a byte order mark, which Excel needs to take it for that. A text that a spreadsheet would take for a formula
(it begins with ``=``, ``+``, ``-``, ``@`` or white space) gets an apostrophe before it, a path ``./``, which leads to
the same file (OWASP, "CSV injection").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from wingbar.exchange.answers import PictureAnswer

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", " ", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with; the last four are the wide forms of the first four."""
COLUMNS = (
    "path", "label", "score", "candidates", "known", "stranger", "width", "height", "x1", "y1", "x2", "y2"
)  # fmt: skip


def encode(answers: Iterable[PictureAnswer]) -> bytes:
    """The table of all answers; of those of humans only ``path`` and ``label``."""
    kept = list(answers)
    by_hand = all(answer.score is None for answer in kept)
    rows = [_cells(answer)[: 2 if by_hand else None] for answer in kept]
    return b"\xef\xbb\xbf" + lines([COLUMNS[: 2 if by_hand else None], *rows])


def lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as comma-separated values in UTF-8, with the line ends of RFC 4180."""
    sink = io.StringIO(newline="")
    csv.writer(sink).writerows(rows)
    return sink.getvalue().encode("utf-8", "backslashreplace")


def plain_text(text: str) -> str:
    """``text`` as no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _cells(answer: PictureAnswer) -> list[object]:
    path = f"./{answer.path}" if answer.path.startswith(FORMULA) else answer.path
    candidates = plain_text(" | ".join(answer.candidates))
    known = "" if answer.known is None else answer.known
    label = plain_text(answer.label)
    return [path, label, answer.score, candidates, known, answer.stranger, *answer.size, *answer.box]
