"""The main job on real birds with real weights: small, but every step of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import wingbar
from wingbar.config import Config
from wingbar.data import load
from wingbar.errors import WeightsError
from wingbar.evaluation.evaluate import evaluate_pictures
from wingbar.nets import create


@pytest.fixture(scope="module")
def few(cub50: Path):
    """Three species that a linear probe tells apart."""
    return load(cub50).first_classes(3)


@pytest.fixture(scope="module")
def recognizer(few, weights_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    config = Config(net="mobilenetv2_100", size=96, epochs=1, batch_size=16, workers=0)
    return wingbar.train(few, tmp_path_factory.mktemp("real") / "run", config, quiet=True)


def test_it_names_real_birds_better_than_chance_and_finds_them(recognizer, few) -> None:
    samples = few.split("test")[::3]
    judged = evaluate_pictures(recognizer, samples, few)
    assert judged.classification.top1 > 0.5
    assert judged.localization is not None and judged.localization.ours.share["0.3"] > 0.6
    assert judged.parts is not None and not judged.failures


def test_the_weights_and_their_licence_are_kept_with_the_model(recognizer) -> None:
    assert recognizer.card.pretrained.weights == "mobilenetv2_100.safetensors"
    assert recognizer.card.pretrained.licence


def test_weights_that_are_not_there_are_asked_for_by_name(monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        create("mobilenetv2_100", 3, tmp_path / "none.safetensors")
