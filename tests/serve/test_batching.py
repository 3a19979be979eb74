"""The queue: order, bounds, and those who leave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wingbar.serve.batching import Batcher, Full, Stopped

T = TypeVar("T")


def during(batcher: Batcher, act: Callable[[], Awaitable[T]]) -> T:
    """What ``act`` returns while the batcher runs; it must end by itself afterwards."""

    async def main() -> T:
        working = asyncio.create_task(batcher.run())
        try:
            return await act()
        finally:
            batcher.stop()
            await asyncio.wait_for(working, 10)

    return asyncio.run(main())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers()), st.integers(1, 5))
def test_each_gets_the_answer_to_its_own_item(items: list[int], size: int) -> None:
    batches = []

    def work(batch: list[int]) -> list[int]:
        batches.append(batch)
        return [2 * item for item in batch]

    batcher: Batcher[int, int] = Batcher(work, size=size, places=100)

    async def act() -> list[int]:
        return await asyncio.gather(*(batcher.submit(item) for item in items))

    assert during(batcher, act) == [2 * item for item in items]
    assert [item for batch in batches for item in batch] == items  # first in, first out
    assert all(1 <= len(batch) <= size for batch in batches)


class Gate:
    """Work that waits to be let through, and remembers what it was given and by which threads."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, batch: list[str]) -> list[str]:
        self.batches.append(batch)
        self.threads.add(threading.get_ident())
        self.entered.set()
        assert self.open.wait(10)
        return batch

    async def busy(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 10)


def test_what_comes_while_the_worker_is_busy_is_its_next_batch() -> None:
    gate = Gate()
    batcher: Batcher[str, str] = Batcher(gate, size=3, places=9)

    async def act() -> None:
        first = batcher.submit("a")
        await gate.busy()
        others = [batcher.submit(item) for item in "bcdef"]
        gate.open.set()
        await asyncio.gather(first, *others)

    during(batcher, act)
    assert gate.batches == [["a"], ["b", "c", "d"], ["e", "f"]]
    assert len(gate.threads) == 1 and threading.get_ident() not in gate.threads


def test_an_item_whose_asker_left_is_not_worked_on() -> None:
    gate = Gate()
    batcher: Batcher[str, str] = Batcher(gate, size=3, places=9)

    async def act() -> None:
        first = batcher.submit("a")
        await gate.busy()
        gone, stays = batcher.submit("b"), batcher.submit("c")
        gone.cancel()
        first.cancel()  # too late to stop, and no harm
        gate.open.set()
        assert await stays == "c"

    during(batcher, act)
    assert gate.batches == [["a"], ["c"]]


def test_an_item_that_breaks_its_batch_breaks_only_itself() -> None:
    def work(batch: list[int]) -> list[float]:
        return [1 / item for item in batch]

    batcher: Batcher[int, float] = Batcher(work, size=9, places=9)

    async def act() -> list[object]:
        return await asyncio.gather(*(batcher.submit(item) for item in (1, 0, 2)), return_exceptions=True)

    one, broken, half = during(batcher, act)
    assert (one, half) == (1, 0.5) and isinstance(broken, ZeroDivisionError)


def test_places_are_bounded_and_given_back() -> None:
    batcher: Batcher[str, str] = Batcher(lambda batch: batch, size=1, places=2)
    with batcher.place():
        with batcher.place(), pytest.raises(Full) as full, batcher.place():
            pass
        assert full.value.seconds >= 1
        with pytest.raises(KeyError), batcher.place():
            raise KeyError
        assert batcher.taken == 1
    assert batcher.taken == 0


def test_the_wait_is_guessed_from_what_batches_took() -> None:
    batcher: Batcher[str, str] = Batcher(lambda batch: batch, size=2, places=3)
    batcher._remember(2, 8.0)
    with batcher.place(), batcher.place(), batcher.place(), pytest.raises(Full) as full, batcher.place():
        pass
    assert full.value.seconds == 12


def test_stopping_finishes_the_batch_in_hand_and_sends_the_others_away() -> None:
    gate = Gate()
    batcher: Batcher[str, str] = Batcher(gate, size=1, places=9)

    async def act() -> None:
        first, second = batcher.submit("a"), batcher.submit("b")
        await gate.busy()
        batcher.stop()
        gate.open.set()
        assert await first == "a"
        for refused in (second, batcher.submit("c")):
            with pytest.raises(Stopped):
                await refused
        with pytest.raises(Stopped), batcher.place():
            pass

    during(batcher, act)
    assert gate.batches == [["a"]]
