"""Loops are compiled with or without a place to keep their machine code."""

from __future__ import annotations

import pwd
from pathlib import Path

import numba
import pytest

from wingbar.opam._compiled import compiled


def test_without_a_place_for_machine_code_loops_are_compiled_all_the_same() -> None:
    homeless = eval("lambda x: 2 * x")  # of no file: numba has no folder for it
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(homeless)
    assert compiled()(homeless)(21) == 42


@pytest.mark.parametrize(
    ("environment", "kept"), [({}, False), ({"XDG_CACHE_HOME": ""}, False), ({"HOME": "/x"}, True)]
)
def test_a_user_without_a_home_gets_no_folder_called_by_a_tilde(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], kept: bool
) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    loop = compiled()(nobody)
    assert (loop.stats.cache_path is not None) is kept
    assert not any(tmp_path.iterdir())
