"""Data sets that are judged on and not learnt from: the rules of training do not hold for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

JUDGED_ONLY: ContextVar[bool] = ContextVar("judged_only", default=False)


@contextmanager
def judged_only() -> Iterator[None]:
    """What `wingbar.data.load` reads here needs no training pictures, and no second class."""
    token = JUDGED_ONLY.set(True)
    try:
        yield
    finally:
        JUDGED_ONLY.reset(token)
