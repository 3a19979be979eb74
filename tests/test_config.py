"""Settings: files, errors with suggestions, and what follows from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wingbar._system.settings import fill
from wingbar.config import Config, read_config, to_toml
from wingbar.errors import ConfigError
from wingbar.opam.alignment import AlignmentSettings
from wingbar.opam.parts import PartSettings


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_fills_fields_and_sections(tmp_path: Path) -> None:
    config = read_config(
        written(tmp_path, 'net = "resnet18"\nlearning_rate = 1\n[parts]\ncount = 3\n[training]\nscale = [0.5, 1.0]\n')
    )
    assert (config.net, config.learning_rate, config.parts) == ("resnet18", 1.0, PartSettings(count=3))
    assert config.base_recipe().scale == (0.5, 1.0)


def test_what_is_saved_is_what_is_read(tmp_path: Path) -> None:
    config = Config(
        net="resnet18", epochs=3, alignment=AlignmentSettings(heads="per-cluster"), training={"ema_decay": 0.5}
    )
    assert read_config(written(tmp_path, to_toml(config))) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "epoch is no setting. Did you mean 'epochs'?"),
        ("[part]\ncount = 2", "part is no setting. Did you mean 'parts'?"),
        ("[parts]\ncuont = 2", "parts.cuont is no setting. Did you mean 'count'?"),
        ("[training]\nepocs = 2", "training.epocs is no setting. Did you mean 'epochs'?"),
        ('epochs = "3"', "epochs is '3'; it must be of type int."),
        ("refit = 1", "refit is 1; it must be of type bool."),
        ("epochs = true", "epochs is True; it must be of type int."),
        ('method = "opan"', "method is 'opan'; it must be one of field-marks, opam, plain. Did you mean 'opam'?"),
        ("parts = 3", "parts is a section"),
        ("validation = 1.5", "validation is 1.5"),
        ("size = 8", "size is 8"),
        ("[parts]\ncount = 0", "parts.count is 0; it must lie between 1 and 6"),
        ("seed = -1", "seed is -1"),
        ('[localization]\nrules = ["cam ostu"]', "'cam ostu' is no rule"),
        ('[localization]\nrules = ["cam percentile 200"]', "is no rule"),
        ("[localization]\nrules = []", "localization.rules is empty"),
        ('recipe = "fine"', "recipe 'fine' is unknown"),
        ("epochs = ", "not a TOML file"),
        ('weights = "C:\\Users\\w.pth"', "those with backslashes in single ones"),
        ("epochs = 1\nepochs = 2", "not a TOML file"),
    ],
)
def test_mistakes_name_the_file_the_key_and_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: no such"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a TOML file"):
        read_config(tmp_path / "binary.toml")


def test_recipes_follow_from_the_weights() -> None:
    assert Config().base_recipe().probe_head
    assert not Config(weights="none").base_recipe().probe_head
    assert Config(epochs=9).base_recipe().epochs == 9
    follow = Config(epochs=9).follow_recipe()
    assert follow.epochs == 4 and not follow.probe_head
    assert Config(follow_epochs=7).follow_recipe().epochs == 7


def test_eval_size_follows_from_size() -> None:
    assert Config(size=160).prediction_size() == 160
    assert Config(size=160, eval_size=192).prediction_size() == 192
    assert Config(size=160).locating_size() == 416


def test_fill_refuses_unknown_keys_given_in_python() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'seed'"):
        fill(Config(), {"sed": 1}, "")
