"""The page under attack: it answers whom it can, and grows no fatter. `make torture-serve` does it for a minute."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bounds import TIMES
from storm import PLACES, Storm, a_server

SECONDS, ERRORS = (60, 10_000) if TIMES > 1 else (4, 150)
FATTER = 100
"""MiB that the server may grow by after the first half: 16 bodies of 2 MiB at most are in it, each held twice."""


def test_a_storm_is_weathered(tmp_path: Path) -> None:
    async def all_of_it(port: int) -> Storm:
        storm = Storm(port, SECONDS, ERRORS)
        await storm.run()
        return storm

    with a_server(tmp_path / "model") as port:
        tally = asyncio.run(all_of_it(port)).tally
        print(tally)
        after = asyncio.run(all_quiet(port))
    assert set(tally.answers) <= {200, 429} and tally.answers[200] > 0
    assert tally.errors.total() == ERRORS and len(tally.health) > 3
    assert max(tally.places) <= PLACES and after == 0
    half = len(tally.memory) // 2
    assert max(tally.memory[half:]) < max(tally.memory[:half]) + FATTER


async def all_quiet(port: int) -> float:
    """Places still taken when everybody has gone, once those in hand are done."""
    for _ in range(600):
        last = Storm(port, 0, 0)
        await last.measured()
        if last.tally.places[-1] == 0:
            return 0
    return last.tally.places[-1]
