"""Presets: what they set, what wins over them, and which one is chosen where none is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import wingbar
from wingbar.cli import parse
from wingbar.config import Config
from wingbar.learning import presets
from wingbar.nets import packages
from wingbar.nets.weights import DEFAULT
from wingbar.nets.zoo import require_known


def settings_of(*options: str) -> Config:
    return parse(["train", "DATA", "--out", "RUN", *options]).settings


def test_good_is_what_one_gets_without_a_word() -> None:
    assert presets.with_preset(Config(), "good") == Config() == settings_of()


@pytest.mark.parametrize("name", ["quick", "good"])
def test_presets_for_any_machine_start_from_weights_that_pip_installs(name) -> None:
    assert presets.PRESETS[name]["net"] in packages.PACKAGES and presets.PRESETS[name]["net"] == DEFAULT


def test_every_preset_names_nets_that_there_are() -> None:
    for net in (presets.STRONG_BY_PIP, *(settings["net"] for settings in presets.PRESETS.values())):
        require_known(net)


def test_options_win_over_the_preset_and_over_a_file_that_wins_over_it_too(tmp_path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("size = 96\nepochs = 3\n")
    expected = replace(Config(), **presets.PRESETS["best"])
    assert settings_of("--preset", "best") == expected
    chosen = settings_of("--preset=best", "--config", str(file), "--epochs", "4", "--no-refit")
    assert chosen == replace(expected, size=96, epochs=4, refit=False)


def test_an_unknown_preset_is_told_with_the_nearest(birds, tmp_path) -> None:
    with pytest.raises(wingbar.ConfigError, match=r"preset 'bets' is unknown. Did you mean 'best'"):
        wingbar.train(birds, tmp_path / "run", preset="bets", quiet=True)


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ([], False),
        (["--seed", "1", "--method", "plain", "--parts.count", "3"], False),
        (["--preset", "auto"], False),
        (["--preset", "good"], True),
        (["--size", "224"], True),
        (["--no-refit"], True),
        (["--training.dropout", "0.1"], True),
        (["--weights=none"], True),
    ],
)
def test_whoever_chooses_net_size_or_epochs_is_left_alone(options, chosen) -> None:
    assert parse(["train", "DATA", "--out", "RUN", *options]).chosen is chosen


@pytest.mark.parametrize(
    ("gpu", "on_cpu", "hub", "pictures", "expected", "net"),
    [
        (False, False, True, 500, "good", DEFAULT),
        (False, False, True, 60_000, "quick", DEFAULT),
        (True, False, True, 60_000, "best", presets.STRONG),
        (True, False, False, 500, "best", presets.STRONG_BY_PIP),
        (True, True, True, 500, "good", DEFAULT),
    ],
)
def test_auto_goes_by_the_machine_and_the_number_of_pictures(
    gpu, on_cpu, hub, pictures, expected, net, monkeypatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(presets, "available", lambda name: hub)
    chosen, why = presets.automatic(Config(seed=3), pictures, on_cpu)
    assert chosen == replace(Config(seed=3), **presets.PRESETS[expected] | {"net": net}) and why.startswith(expected)
