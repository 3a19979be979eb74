"""What is told, and what TensorBoard gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from wingbar._system import progress
from wingbar.learning.history import Epoch
from wingbar.steps.reporting import FIRST_STEPS, Reporter


def trained(reporter: Reporter, measured: list[float], views_left: int = 0) -> None:
    """Epochs of which each one's accuracy is its loss, so that the best by one is the worst by the other."""
    with reporter.training("net", len(measured), pictures=100, views_left=views_left) as watch:
        for number, value in enumerate(measured):
            for step in range(1, FIRST_STEPS + 2):
                watch.step(number, step, FIRST_STEPS + 1, 50.0)
            watch.epoch(Epoch(number, 1.0, value, value, 0.1, 50.0))


def test_the_time_left_is_told_once_and_the_best_epoch_at_the_end(tmp_path: Path, capsys) -> None:
    reporter = Reporter(tmp_path)
    trained(reporter, [0.5, 0.25, 0.6], views_left=30_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  50 pictures/s; trainings need about 10 min from here"
    assert lines[1].startswith("  net: best epoch 2 of 3, val_accuracy 0.250, ") and len(lines) == 2


def test_tensorboard_has_the_scalars(tmp_path: Path) -> None:
    trained(Reporter(tmp_path, quiet=True), [0.5, 0.75])
    events = EventAccumulator(str(tmp_path / "tensorboard" / "net")).Reload()
    names = {"train_loss", "val_loss", "val_accuracy", "learning_rate", "pictures_per_second"}
    assert set(events.Tags()["scalars"]) == names
    assert [point.value for point in events.Scalars("val_accuracy")] == [0.5, 0.75]


def test_a_long_step_tells_how_far_it_is(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 40))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    assert list(Reporter(tmp_path).watched(iter("ab"), 2)) == list("ab")
    assert capsys.readouterr().err.splitlines() == [
        "  1 of 2 so far, 0.0 a second, 0:00:40 left", "  2 of 2 so far, 0.0 a second, 0:00:00 left",
    ]  # fmt: skip
    assert list(Reporter(tmp_path, quiet=True).watched(iter("abcdef"), 6)) == list("abcdef")
    assert capsys.readouterr().err == ""


def test_quiet_is_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(tmp_path, quiet=True)
    reporter.say("something")
    trained(reporter, [0.5])
    assert capsys.readouterr() == ("", "")
