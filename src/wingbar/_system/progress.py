"""How far a long job is, on standard error: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 30.0
"""Seconds from one line to the next, where there is no terminal to draw a bar on."""


@contextmanager
def bar(console: Console, label: str, total: float, done: float = 0) -> Iterator[Callable[[float], None]]:
    """A bar with the time left, which begins at ``done`` of ``total``; yields a function that is told how much is done.

    Where the console is no terminal, or is quiet, nothing is drawn.
    """
    if not console.is_terminal or console.quiet:
        yield lambda done: None
        return
    columns = TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total, completed=int(done))
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def counted(console: Console, unit: str, total: int, done: int = 0) -> Iterator[Callable[[int], None]]:
    """`bar`, or, where the console is no terminal, a line every `EVERY` seconds with the rate and the time left."""
    started = last = time.monotonic()
    begun = done

    def line(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            console.print(described(done, total, (done - begun) / (now - started), unit), markup=False, soft_wrap=True)

    if not console.is_terminal:
        yield line
        return
    with bar(console, unit, total, done) as advance:
        yield advance


def described(done: int, total: int, rate: float, unit: str) -> str:
    """How far a job is that does ``rate`` of its ``total`` units a second, and how long it still takes."""
    minutes, seconds = divmod(round((total - done) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    left = f"{hours}:{minutes:02d}:{seconds:02d}"
    return f"  {done:,} of {total:,} {unit}, {rate:.1f} a second, {left} left"
