"""The warning of a training on bursts: seen where weights are given, and not where every picture is alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import save_model
from small import SMALL

import wingbar
from wingbar.data import load
from wingbar.nets import create


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_model(create("res2net_nano", 3).backbone, tmp_path / "start.safetensors")
    return tmp_path / "start.safetensors"


def test_a_training_on_bursts_says_by_how_much_a_random_split_flatters(
    birds: Path, tmp_path: Path, weights: Path, capsys: pytest.CaptureFixture
) -> None:
    settings = replace(SMALL, method="plain", weights=str(weights))
    whole = load(birds)
    wingbar.train(whole, tmp_path / "alone", settings)
    assert "random folds" not in capsys.readouterr().err
    bursts = tuple(replace(sample, group=f"{sample.label}-{i // 3}") for i, sample in enumerate(whole.samples))
    wingbar.train(replace(whole, samples=bursts), tmp_path / "bursts", settings)
    message = capsys.readouterr().err
    assert "of the pictures in random folds" in message and "that part no occasion: a random split would" in message
    assert (tmp_path / "bursts" / "steps" / "occasions" / "result.json").exists()
