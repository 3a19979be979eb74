"""Loops are compiled with or without a place to keep their machine code."""

from __future__ import annotations

import numba
import pytest

from wingbar.opam._compiled import compiled


def test_without_a_place_for_machine_code_loops_are_compiled_all_the_same() -> None:
    homeless = eval("lambda x: 2 * x")  # of no file: numba has no folder for it
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(homeless)
    assert compiled()(homeless)(21) == 42
