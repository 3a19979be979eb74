"""Batching of requests for one worker thread: items that arrive while it is busy become its next batch.

Items never wait for a batch to fill. A single picture is predicted at once, and batches grow with the load.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MEMORY = 0.2
"""Weight of the last batch in the average time of an item."""


class Full(Exception):
    """All places are taken; ``seconds`` is the estimated time until one is free."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"all places are taken; try again in {seconds} s")
        self.seconds = seconds


class Stopped(Exception):
    """The batcher was stopped and accepts no items."""


class Batcher(Generic[Item, Answer]):
    """Gathers items into batches of at most ``size`` for ``work``, which runs in one thread of its own.

    ``places`` limits the number of items that are being received, waiting, or worked on.
    """

    def __init__(self, work: Callable[[list[Item]], Sequence[Answer]], *, size: int, places: int) -> None:
        self._work, self.size, self.places = work, size, places
        self.taken = 0
        self._seconds = 0.0
        self._stopped = False
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._changed = asyncio.Event()

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one item, taken before it is received. Raises Full or Stopped."""
        if self._stopped:
            raise Stopped
        if self.taken >= self.places:
            raise Full(max(1, math.ceil(self._seconds * self.taken)))
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    def submit(self, item: Item) -> asyncio.Future[Answer]:
        """Queue an item; returns the future of its answer. A cancelled future's item is skipped."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        if self._stopped:
            answer.set_exception(Stopped())
        else:
            self._waiting.append((item, answer))
            self._changed.set()
        return answer

    def stop(self) -> None:
        """Accept no more items, and fail those that wait. The current batch is finished."""
        self._stopped = True
        while self._waiting:
            _, answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(Stopped())
        self._changed.set()

    async def run(self, watch: Callable[[int, float], None] = lambda items, seconds: None) -> None:
        """Work until `stop`; ``watch`` is called after each batch with its number of items and the seconds it took."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="wingbar-worker") as worker:
            while not self._stopped:
                await self._changed.wait()
                self._changed.clear()
                while batch := self._next():
                    started = loop.time()
                    answers = await loop.run_in_executor(worker, self._answers, [item for item, _ in batch])
                    seconds = loop.time() - started
                    self._remember(len(batch), seconds)
                    watch(len(batch), seconds)
                    _tell([future for _, future in batch], answers)

    def _next(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self.size:
            item, answer = self._waiting.popleft()
            if not answer.done():  # whoever asked has gone
                batch.append((item, answer))
        return batch

    def _answers(self, items: list[Item]) -> list[Answer | Exception]:
        """An answer or an exception for each item. If a batch fails, its items are tried one by one."""
        try:
            return list(self._work(items))
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [answer for item in items for answer in self._answers([item])]

    def _remember(self, items: int, seconds: float) -> None:
        each = seconds / items
        self._seconds = each if self._seconds == 0 else (1 - MEMORY) * self._seconds + MEMORY * each


def _tell(futures: list[asyncio.Future[Answer]], answers: Sequence[Answer | Exception]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
