"""Views: what nets are shown."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch.utils.data import Dataset

from wingbar._system.distributed import World
from wingbar.errors import PictureError, RunError
from wingbar.images import READ_SIDE, crop_square, read_picture
from wingbar.learning.hardware import Hardware
from wingbar.learning.recipe import Recipe
from wingbar.learning.views import (
    NICENESS,
    EpochSampler,
    FixedBatches,
    Mix,
    TrainViews,
    View,
    load_views,
    random_crop,
    square,
    to_tensor,
)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Grows from left to right in red and from top to bottom in green."""
    pixels = np.zeros((60, 100, 3), np.uint8)
    pixels[..., 0] = np.arange(100)[None] * 2
    pixels[..., 1] = np.arange(60)[:, None] * 4
    path = tmp_path / "ramp.png"
    Image.fromarray(pixels).save(path)
    return path


def test_the_whole_picture_is_squashed_and_never_cut(picture: Path) -> None:
    pixels = np.asarray(square(picture, None, 40)).astype(int)
    assert pixels.shape == (40, 40, 3)
    assert pixels[:, 0, 0].max() < 6 and pixels[:, -1, 0].min() > 190
    assert pixels[0, :, 1].max() < 8 and pixels[-1, :, 1].min() > 228


def test_a_box_is_that_box(picture: Path) -> None:
    pixels = to_tensor(square(picture, (50, 30, 90, 60), 32)).float()
    assert pixels.shape == (3, 32, 32)
    assert pixels[0].mean().item() == pytest.approx(2 * 69.5, abs=1.5)
    assert pixels[1].mean().item() == pytest.approx(4 * 44.5, abs=2.5)


@pytest.mark.parametrize("size", [(100, 60), (1500, 1200)])
@pytest.mark.parametrize("box", [None, (10, 5, 80, 55)])
def test_a_net_is_shown_in_training_what_it_is_shown_in_a_prediction(
    tmp_path: Path, size: tuple[int, int], box: tuple[int, ...] | None
) -> None:
    path, noise = tmp_path / "noise.png", np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, compress_level=1)
    predicted = crop_square(read_picture(path, READ_SIDE), box, 32)
    np.testing.assert_array_equal(np.asarray(square(path, box, 32)), np.asarray(predicted))


@pytest.mark.parametrize("box", [None, (400, 300, 1900, 1300)])
def test_a_decoders_own_shrinking_hardly_shows(tmp_path: Path, box: tuple[int, ...] | None) -> None:
    path, small = tmp_path / "photo.jpg", np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(small).resize((2563, 1921), Image.Resampling.BICUBIC).save(path, quality=95)
    whole = np.asarray(crop_square(read_picture(path), box, 64)).astype(int)
    assert np.abs(np.asarray(square(path, box, 64)) - whole).mean() < 2


def test_a_view_depends_on_seed_epoch_and_index_alone(picture: Path) -> None:
    mixes = [
        Mix(picture, 3, {"picture": [(None, -1)], "part": [((0, 0, 50, 50), 1)]}, {"picture": 1.0, "part": 1.0})
    ] * 4
    views = TrainViews(mixes, 24, Recipe(), seed=1)
    first, label, _, *changes = views[(0, 2)]
    assert label == 3 and first.dtype == torch.uint8 and first.shape == (3, 24, 24)
    assert torch.equal(views[(0, 2)][0], first) and torch.equal(views[(0, 2)][3], changes[0])
    for other in (views[(1, 2)], views[(0, 3)], TrainViews(mixes, 24, Recipe(), seed=2)[(0, 2)]):
        assert not torch.equal(other[0], first) and not torch.equal(other[3], changes[0])


def test_kinds_are_drawn_by_their_shares(picture: Path) -> None:
    boxes = {"picture": [(None, -1)], "object": [((0, 0, 5, 5), -1)], "part": [], "patch": [((1, 1, 4, 4), 0)]}
    mix = Mix(picture, 0, boxes, {"picture": 0.25, "object": 0.75, "part": 1.0, "patch": 0.0})
    rng = np.random.default_rng(0)
    drawn = Counter(mix.draw(rng).box for _ in range(4000))
    assert set(drawn) == {None, (0, 0, 5, 5)}
    assert drawn[None] / 4000 == pytest.approx(0.25, abs=0.03)


def test_random_crops_stay_inside_with_the_area_asked_for() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        x1, y1, x2, y2 = random_crop((10, 20, 60, 50), (0.3, 0.8), rng)
        assert 10 <= x1 < x2 <= 60 + 1e-9 and 20 <= y1 < y2 <= 50 + 1e-9
        assert 0.25 <= (x2 - x1) * (y2 - y1) / 1500 <= 0.8 + 1e-9


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (3, 8), (1, 1)])
def test_an_epoch_shows_each_picture_at_most_once(count: int, batch: int) -> None:
    sampler = EpochSampler(count, batch, seed=0)
    orders = []
    for epoch in range(2):
        sampler.epoch = epoch
        batches = list(sampler)
        assert len(batches) == len(sampler) and {len(b) for b in batches} == {min(batch, count)}
        seen = [index for b in batches for _, index in b]
        assert len(set(seen)) == len(seen) and {e for b in batches for e, _ in b} == {epoch}
        orders.append(seen)
    assert count < 10 or orders[0] != orders[1]


class Priority(Dataset):
    """Tells how far the process that loads it gives way."""

    def __getitem__(self, index: int) -> int:
        return os.nice(0)


@pytest.mark.parametrize("workers", [0, 1])
def test_loader_processes_give_way_to_the_one_that_computes(workers: int) -> None:
    niceness = os.nice(0)
    (result,) = load_views(Priority(), [[0, 1]], workers)
    assert result.tolist() == [niceness if workers == 0 else min(niceness + NICENESS, 19)] * 2


SCRIPT = """
import multiprocessing, sys
from wingbar._system.distributed import opened
from wingbar._system.distributed import World
from wingbar.errors import PictureError, RunError
for method in sys.argv[1:]:
    with opened():
        from wingbar.learning.views import TrainViews, load_views
        from wingbar.learning.recipe import Recipe
        multiprocessing.set_start_method(method, force=True)
        try:
            list(load_views(TrainViews([], 8, Recipe(), 0), [[(0, 0)]], workers=1))
        except RunError as error:
            print(method, error)
"""
"""Without a guard: each loader process runs it again, as far as `opened`."""


def test_a_script_without_a_main_guard_is_told_the_remedy(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ended = subprocess.run([sys.executable, script, "spawn", "forkserver"], capture_output=True, text=True)
    result = ended.stdout.splitlines()
    assert [line.split()[0] for line in result] == ["spawn", "forkserver"], ended.stderr
    assert all('below `if __name__ == "__main__":`, or set workers=0.' in line for line in result)
    assert ended.stderr.count("wingbar.errors.RunError: This is a process that loads pictures.") == 2


def test_a_machine_without_shared_memory_is_told_to_load_without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(multiprocessing.context.BaseContext, "Lock", refuse)
    with pytest.raises(RunError, match=r"/dev/shm .*Read-only file system.*--workers 0"):
        list(load_views(Priority(), [], workers=1))
    assert list(load_views(Priority(), [], workers=0)) == []


@pytest.mark.parametrize("workers", [0, 3])
def test_a_pass_is_in_order_and_of_this_ranks_batches(picture: Path, workers: int) -> None:
    views = [View(picture, number, (0, 0, 10 + number, 20), number % 2) for number in range(7)]
    hardware = Hardware(Fabric(accelerator="cpu", devices=1), workers, World(rank=1, size=2))
    given = FixedBatches(views, 16, 2, hardware)
    result = list(given)
    assert len(given) == len(result) == 2
    assert [labels.tolist() for _, labels, _ in result] == [[2, 3], [6]]
    assert [clusters.tolist() for _, _, clusters in result] == [[0, 1], [0]]
    for pixels, labels, _ in result:
        for one, label in zip(pixels, labels.tolist(), strict=True):
            assert torch.equal(one, to_tensor(square(picture, views[label].box, 16)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_cannot_be_read_ends_a_pass_and_its_threads(tmp_path: Path, workers: int) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    views, hardware = [View(tmp_path / "bad.png", 0)] * 9, Hardware(Fabric(accelerator="cpu", devices=1), workers)
    with pytest.raises(PictureError, match=r"bad\.png"):
        list(FixedBatches(views, 8, 1, hardware))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wingbar")]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities of their own")
def test_threads_that_load_give_way_and_nothing_else_does(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    niceness, seen = os.getpriority(os.PRIO_PROCESS, 0), []

    def cut(*given: object) -> Image.Image:
        seen.append(os.getpriority(os.PRIO_PROCESS, 0))
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr("wingbar.learning.views.square", cut)
    list(FixedBatches([View(picture, 0)], 8, 1, Hardware(Fabric(accelerator="cpu", devices=1), 2)))
    assert seen == [min(niceness + NICENESS, 19)] and os.getpriority(os.PRIO_PROCESS, 0) == niceness
