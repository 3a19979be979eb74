"""Progress: lines with the time left where there is no terminal, a bar where there is one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from wingbar._system import progress
from wingbar._system.progress import counted, described


def test_the_time_left() -> None:
    line = described(250_000, 1_000_000, 100.0, "pictures")
    assert line == "  250,000 of 1,000,000 pictures, 100.0 a second, 2:05:00 left"


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    out = io.StringIO()
    with counted(Console(file=out), "pictures", 8, done=4) as advance:
        for done in range(5, 9):
            advance(done)
    assert out.getvalue().splitlines() == [
        "  6 of 8 pictures, 0.1 a second, 0:00:40 left", "  8 of 8 pictures, 0.1 a second, 0:00:00 left",
    ]  # fmt: skip


def test_on_a_terminal_there_is_a_bar() -> None:
    out = io.StringIO()
    with counted(Console(file=out, force_terminal=True), "pictures", 4) as advance:
        advance(3)
    assert "pictures" in out.getvalue() and "3/4" in out.getvalue()
