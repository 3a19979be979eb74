"""Plain tables: GitHub's markdown, aligned so that they read well in a terminal too."""

from __future__ import annotations

from collections.abc import Sequence


def render(headers: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    """A table with its first column to the left and the others, figures, to the right.

    Raises ValueError for a row of another length than the headers.
    """
    cells = [[str(cell).replace("|", r"\|") for cell in row] for row in (headers, *rows)]
    if any(len(row) != len(headers) for row in cells):
        raise ValueError(f"every row must have {len(headers)} cells, as the headers have")
    widths = [max(3, *(len(row[k]) for row in cells)) for k in range(len(headers))]
    rule = [("-" * width if k == 0 else "-" * (width - 1) + ":") for k, width in enumerate(widths)]
    return "\n".join(_line(row, widths) for row in (cells[0], rule, *cells[1:]))


def percent(share: float | None, digits: int = 1) -> str:
    """``"83.3 %"``; a dash for what is not known."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def percent_interval(share: float, low: float, high: float, digits: int = 1) -> str:
    """``"83.3 % (81.2 to 85.3)"``: a figure with its 95 % interval."""
    return f"{percent(share, digits)} ({100 * low:.{digits}f} to {100 * high:.{digits}f})"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(aligned)} |"
