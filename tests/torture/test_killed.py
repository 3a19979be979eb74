"""Kills and interrupts, few: `make torture` does many by the same means."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wingbar.cli import main, stopped

SUPPORT = Path(__file__).parents[1] / "support"


def test_a_run_that_is_killed_and_interrupted_ends_as_if_it_had_not_been() -> None:
    """A process of its own: it forks, which a process with threads should not."""
    done = subprocess.run(
        [sys.executable, SUPPORT / "killing.py", "--events", "6", "--moments", "1", "--interrupts", "3"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    kills, interrupts = [int(word) for word in done.stdout.splitlines()[-1].split() if word.isdecimal()][:2]
    assert kills >= 5 and interrupts >= 2, done.stdout


def test_an_interrupted_command_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wingbar.training.train", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["train", "my birds", "--out", "run", "--from", "parts", "--quiet"])
    assert ended.value.code == 130
    # What was redone before the interrupt is not redone again.
    assert "Go on with: wingbar train 'my birds' --out run --quiet\n" in capsys.readouterr().err
    assert stopped(["predict", "run", "a.jpg"]) == "stopped"
