"""The same seed gives the same model folder, byte for byte, however the work is shared out; another seed differs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import wingbar
from wingbar.evaluation.labels import origin
from wingbar.model import read_model


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_loaders_and_threads_change_no_byte_of_the_model(
    tmp_path: Path, small_run: Path, birds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small run has no loader processes and as many threads of proposals as the machine likes."""
    monkeypatch.setattr("wingbar.ranks.ThreadPoolExecutor", lambda threads: ThreadPoolExecutor(1))
    config, _ = origin(read_model(small_run).card, small_run)
    wingbar.train(birds, tmp_path / "run", config, quiet=True, workers=2)
    assert folder_bytes(tmp_path / "run" / "model") == folder_bytes(small_run / "model")


def test_another_seed_gives_another_model(tmp_path: Path, small_run: Path, birds: Path) -> None:
    config, _ = origin(read_model(small_run).card, small_run)
    nets = []
    for seed in (config.seed, config.seed + 1):
        run = tmp_path / str(seed)
        wingbar.train(birds, run, config, quiet=True, method="plain", workers=0, seed=seed)
        nets.append((run / "model" / "picture.safetensors").read_bytes())
    filternet = (small_run / "steps" / "filternet" / "result.safetensors").read_bytes()
    assert nets[0] == filternet != nets[1]
