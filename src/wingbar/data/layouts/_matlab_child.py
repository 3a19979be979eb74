"""Run by `wingbar.data.layouts.matlab` in a process of its own: prints variables of a MATLAB file as JSON.

SciPy's reader is not made for hostile files: damaged ones can crash the process that reads them.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

import numpy as np
from scipy import io

MAX_ITEMS = 1_000_000
MAX_MEMORY = 2 << 30


def limit_memory() -> None:
    """A few hundred bytes can claim to hold gigabytes. Systems without such limits go without."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def plain(value: Any) -> int | str | None:
    """A scalar as a whole number or a text; None for anything else."""
    scalar = np.asarray(value)
    if scalar.size != 1:
        return None
    item = scalar.reshape(-1)[0]
    if scalar.dtype.kind == "U":
        return str(item)
    whole = scalar.dtype.kind in "uifb" and np.isfinite(item) and float(item).is_integer()
    return int(item) if whole else None


def rows(value: Any) -> list[Any]:
    """An array or cell array as a list of scalars, a struct array as a list of mappings."""
    flat = np.atleast_1d(value).reshape(-1)
    if flat.dtype.names:
        return [{name: plain(row[name]) for name in flat.dtype.names} for row in flat]
    return [plain(item) for item in flat]


def variables(file: str, names: list[str]) -> dict[str, list[Any]]:
    """Those of the variables that are there."""
    shapes = {name: shape for name, shape, _ in io.whosmat(file)}
    for name in names:
        if np.prod(shapes.get(name, ()), dtype=float) > MAX_ITEMS:
            raise ValueError(f"{name!r} has more than {MAX_ITEMS:,} entries")
    variables = io.loadmat(file, variable_names=names, squeeze_me=True)
    return {name: rows(variables[name]) for name in names if name in variables}


if __name__ == "__main__":
    try:
        limit_memory()
        json.dump(variables(sys.argv[1], sys.argv[2:]), sys.stdout)
    except Exception as error:  # scipy fails on damaged bytes with nearly any type there is
        sys.exit(str(error) or type(error).__name__)
