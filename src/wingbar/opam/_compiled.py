"""How this package's loops are compiled: without the interpreter's lock, and kept on disk where there is a place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with ``options``, ``nogil`` and ``cache``.

    A system user may own no folder to keep machine code in: then it is made anew in each process, in seconds.
    """

    def compile_(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(nogil=True, cache=_has_place(), **options)(function)
        except RuntimeError:  # "cannot cache function: no locator available"
            return numba.njit(nogil=True, **options)(function)

    return compile_


def _has_place() -> bool:
    """Whether numba may look for a place to keep machine code.

    For a user without a home, numba would take a folder that is called ``~`` in the folder that the program was started
    in, and run the code that it finds there.
    """
    home = os.path.expanduser("~")  # noqa: PTH111 # as numba asks; pathlib would raise
    return bool(getattr(numba.config, "CACHE_DIR", "")) or Path(os.environ.get("XDG_CACHE_HOME", home)).is_absolute()
