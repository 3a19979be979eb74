"""Labels in doubt, on a run that cannot be written to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from wingbar.check.doubts import doubtful_labels
from wingbar.data import load
from wingbar.errors import RunError


def test_that_the_test_split_is_read_is_noted_elsewhere_where_the_run_is_only_read(
    small_run: Path, birds: Path, tmp_path: Path
) -> None:
    run, out = Path(shutil.copytree(small_run, tmp_path / "run")), tmp_path / "out"
    out.mkdir()
    (run / "test-split-read.log").unlink(missing_ok=True)
    (run / "test-split-read.log").mkdir()  # no file can be written there, as on a medium that is only read
    with pytest.raises(RunError, match=r"test-split-read\.log"):
        doubtful_labels(run, load(birds))
    assert doubtful_labels(run, load(birds), out=out)
    note = (out / "test-split-read.log").read_text(encoding="utf-8")
    assert "whose labels are checked" in note and str(run) in note
