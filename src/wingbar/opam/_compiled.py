"""How this package's loops are compiled: without the interpreter's lock, and kept on disk where there is a place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with ``options``, ``nogil`` and ``cache``.

    A system user may own no folder to keep machine code in: then it is made anew in each process, in seconds.
    """

    def compile_(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # "cannot cache function: no locator available"
            return numba.njit(nogil=True, **options)(function)

    return compile_
