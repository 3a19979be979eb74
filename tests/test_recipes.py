"""The recipes: every key is known, the nets can be made, and each says what to expect and where that comes from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import torch

from wingbar import cli
from wingbar._system.settings import fill
from wingbar.config import Config, read_config
from wingbar.data.download import SOURCES
from wingbar.data.layouts import cars, flowers, pets
from wingbar.nets import create

PERFORMANCE = Path(__file__).parents[1] / "docs" / "performance.md"
RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
CLASSES = {
    "cub": 200,
    "cars": cars.PUBLISHED.classes,
    "pets": pets.PUBLISHED.classes,
    "flowers": flowers.PUBLISHED.classes,
}


def head(path: Path) -> str:
    """The comment above the first key."""
    return path.read_text(encoding="utf-8").partition("\n\n")[0]


def test_there_is_one_for_each_data_set_of_the_paper_and_net() -> None:
    assert [path.stem for path in RECIPES] == sorted(
        f"{name}-{net}" for name in CLASSES for net in ("convnext", "vgg19bn")
    )


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_key_is_known_and_means_something(path: Path) -> None:
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    config = read_config(path)
    assert config == fill(Config(), values, "") and config.size == 224
    result = {key: value for key, value in values.items() if not isinstance(value, dict)}
    assert {key: getattr(config, key) for key in result} == result
    if path.stem.endswith("vgg19bn"):
        assert (config.base_recipe().optimizer, config.base_recipe().epochs, config.net) == ("sgd", 70, "vgg19_bn_cam")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_command_takes_it(path: Path) -> None:
    command = cli.parse(["train", "DATA", "--out", "RUN", "--config", str(path)])
    assert command.settings == read_config(path)


@pytest.mark.parametrize("name", sorted({read_config(path).net for path in RECIPES}))
def test_the_net_can_be_made_for_the_largest_set(name: str) -> None:
    with torch.device("meta"):
        assert create(name, max(CLASSES.values())).head.out_features == 200


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_says_what_to_expect_and_where_that_comes_from(path: Path) -> None:
    lines = head(path).splitlines()
    assert all(line.startswith("#") for line in lines)
    text = " ".join(" ".join(lines).replace("#", "").split())
    name = path.stem.partition("-")[0]
    assert f"wingbar data download {name} " in text and name in SOURCES
    assert f"of {CLASSES[name]} classes" in text and SOURCES[name].title in text
    assert re.search(r"Expected: .*Not measured by us\.", text)
    rows = re.findall(rf"^\| {path.stem} \|.*\| ([\d.]+) \|$", PERFORMANCE.read_text(encoding="utf-8"), re.MULTILINE)
    here, there = map(float, rows)
    assert f"Cost: {here:.0f} hours on 2 cores without a GPU, computed from measured rates" in text
    assert f"{there:.1f} hours on an RTX 3090, computed from rates that timm's authors measured there" in text
    assert ("% top-1" in text) == path.stem.endswith("vgg19bn")
