"""Shared by all tests: the shared data and weights where they are, and a small drawn data set."""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

# Every annotation of the package, shapes included, is checked while the tests run.
install_import_hook("wingbar", "typecheck.check")

# No test is judged by the clock: machines are shared.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


FIRST = (
    "test_distributed.py", "test_export.py", "test_docs.py", "test_backbones.py", "test_pipeline.py", "test_killed.py",
    "test_pictures.py", "test_field_marks.py", "test_real_birds.py", "test_cli.py", "test_site.py", "test_same.py",
    "test_demo.py", "test_storm.py", "test_memory.py", "test_loop.py", "test_damage.py", "test_watch.py",
)  # fmt: skip
"""Files that take long, the longest first: begun last, they would be waited for by all other workers."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first (with --no-loadscope-reorder)."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


def pytest_collection_finish() -> None:
    """What imports have made lives until the end: no garbage collection, and each training asks for one, visits it."""
    gc.collect()
    gc.freeze()


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
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of pytest have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def _made_once(folder: Path) -> Iterator[bool]:
    """Whether the block has to make ``folder``: by the first worker that asks; the others wait for it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_suffix(".done")
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def birds(shared_folder: Path) -> Path:
    """Three drawn classes, 12 training and 4 test pictures each. Not to be written to."""
    from wingbar.data.synthetic import write_dataset

    folder = shared_folder / "birds"
    with _made_once(folder) as needed:
        if needed:
            write_dataset(folder, classes=3, train=12, test=4, size=(96, 72))
    return folder


@pytest.fixture(scope="session")
def small_run(shared_folder: Path, birds: Path) -> Path:
    """A trained OPAM run on the drawn birds: too small to be right, but complete. Not to be written to."""
    from small import SMALL

    import wingbar

    folder = shared_folder / "run"
    with _made_once(folder) as needed:
        if needed:
            wingbar.train(birds, folder, SMALL, quiet=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # Sums over threads differ in the last bits, and the nets of the tests are too small to share out.
    import torch  # here: the process that only starts the workers needs none of it

    torch.set_num_threads(1)
