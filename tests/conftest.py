"""Shared by all tests: the shared data and weights where they are, and a small drawn data set."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest
import torch
from jaxtyping import install_import_hook

# Every annotation of the package, shapes included, is checked while the tests run.
install_import_hook("wingbar", "typecheck.check")

# No test is judged by the clock: machines are shared.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


FIRST = ("test_distributed.py", "test_storm.py", "test_killed.py", "test_damage.py")
"""Files that take minutes: begun last, they would be waited for by all other workers."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first (with --no-loadscope-reorder)."""
    items.sort(key=lambda item: item.path.name not in FIRST)


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: no real data to test on")
    return Path(value)


@pytest.fixture(scope="session")
def cub50() -> Path:
    """50 classes of CUB-200-2011."""
    return _folder("WINGBAR_DATA") / "cub50"


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """Real ImageNet weights."""
    return _folder("WINGBAR_WEIGHTS")


@pytest.fixture(scope="session")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drawn classes, 12 training and 4 test pictures each."""
    from wingbar.data.synthetic import write_dataset

    folder = tmp_path_factory.mktemp("drawn") / "birds"
    return write_dataset(folder, classes=3, train=12, test=4, size=(96, 72))


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory, birds: Path) -> Path:
    """A trained OPAM run on the drawn birds: too small to be right, but complete. Not to be written to."""
    import wingbar
    from wingbar.config import Config
    from wingbar.opam.filtering import FilterSettings

    folder = tmp_path_factory.mktemp("trained") / "run"
    few = FilterSettings(threshold=0.2, cap=5)
    config = Config(
        method="opam", net="res2net_nano", weights="none", size=48, epochs=1, follow_epochs=1, batch_size=8, workers=0
    )
    wingbar.train(birds, folder, config, quiet=True, filtering=few)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # Sums over threads differ in the last bits, and the nets of the tests are too small to share out.
    torch.set_num_threads(1)
