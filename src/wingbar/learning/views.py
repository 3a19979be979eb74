"""Views: boxes of pictures, resized to uint8 squares, which nets are trained and validated on.

`boxes.with_context` has made the boxes nearly square, so that resizing distorts little. A whole picture is squashed to
a square and never cut, so that no object is lost. All random choices of a training view come from a generator that is
seeded by (seed, epoch, index). So they do not depend on the number of loader processes, and a resumed training
makes the same choices.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from wingbar._system.distributed import ALONE, GUARD, World
from wingbar._system.memory import lost_loader
from wingbar.boxes import Box
from wingbar.errors import ConfigError, RunError
from wingbar.images import crop_square
from wingbar.learning.decoded import FILES, DecodedPictures
from wingbar.learning.hardware import Hardware
from wingbar.learning.recipe import Recipe

BLANK = (0.05, 0.25)
"""Least and largest share of a view that random erasing blanks."""
NICENESS = 10
"""Of what loads. At this value it gets about a tenth of a core that what computes wants too."""
AHEAD = 2
"""Batches that are read ahead, for each loader."""


@dataclass(frozen=True)
class View:
    """One box of one picture, with the picture's label."""

    path: Path
    label: int
    box: Box | None = None
    """None: the whole picture."""
    cluster: int = -1
    """Cluster whose head scores it, where each part cluster has a head; -1: the mean of all heads."""


@dataclass(frozen=True)
class Mix:
    """The boxes that may be shown of one training picture, by kind.

    An epoch shows every picture once: first a kind is drawn by the shares, then one of its boxes. So an epoch costs the
    same for all nets, whatever kinds of views they learn from.
    """

    path: Path
    label: int
    boxes: Mapping[str, Sequence[tuple[Box | None, int]]]
    """Kind -> (box, cluster) of each view of that kind."""
    shares: Mapping[str, float]
    """Kind -> how often it is shown, relative to the others."""

    def draw(self, rng: np.random.Generator) -> View:
        """Draw one view. A kind without boxes in this picture is never drawn."""
        kinds = [kind for kind, boxes in self.boxes.items() if len(boxes) and self.shares[kind] > 0]
        shares = np.array([self.shares[kind] for kind in kinds], dtype=np.float64)
        boxes = self.boxes[kinds[rng.choice(len(kinds), p=shares / shares.sum())]]
        return View(self.path, self.label, *boxes[int(rng.integers(len(boxes)))])


def square(path: Path, box: Sequence[float] | None, size: int, pictures: DecodedPictures = FILES) -> Image.Image:
    """The box of a picture file (None: the whole picture) as a ``size`` x ``size`` RGB picture, cut as in a prediction.

    Raises PictureError when the picture cannot be read.
    """
    width, height = pictures.size(path)
    sides = (width, height) if box is None else (box[2] - box[0], box[3] - box[1])
    needed = math.ceil(size * min(width, height) / max(min(sides), 1))
    return crop_square(pictures.read(path, needed), box, size)


def random_crop(
    box: Sequence[float], scale: tuple[float, float], rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """A random box inside ``box``: area share in ``scale``, sides stretched by at most 4:3."""
    x1, y1, x2, y2 = box
    share, stretch = rng.uniform(*scale), math.exp(rng.uniform(-1, 1) * math.log(4 / 3))
    width = min(math.sqrt(share * stretch), 1.0) * (x2 - x1)
    height = min(math.sqrt(share / stretch), 1.0) * (y2 - y1)
    left, top = x1 + rng.uniform() * (x2 - x1 - width), y1 + rng.uniform() * (y2 - y1 - height)
    return (left, top, left + width, top + height)


def train_view(
    view: View, size: int, recipe: Recipe, rng: np.random.Generator, pictures: DecodedPictures = FILES
) -> tuple[UInt8[Tensor, "3 size size"], Float32[Tensor, "3"], Int64[Tensor, "4"]]:
    """A randomly cropped and mirrored view, and its random colours and blank rectangle: see `augmentation`.

    Raises PictureError.
    """
    box = view.box if view.box is not None else (0, 0, *pictures.size(view.path))
    picture = square(view.path, random_crop(box, recipe.scale, rng), size, pictures)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    factors = 1 + rng.uniform(-recipe.jitter, recipe.jitter, 3)
    blank = random_crop((0, 0, size, size), BLANK, rng) if rng.random() < recipe.erase else (0, 0, 0, 0)
    return to_tensor(picture), torch.from_numpy(factors).float(), torch.tensor([round(side) for side in blank])


def to_tensor(picture: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """An RGB picture as a channels-first tensor."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


class TrainViews(Dataset):
    """Random views of training pictures: pixels, label, cluster, colours, blank. An index is (epoch, picture)."""

    def __init__(
        self, mixes: Sequence[Mix], size: int, recipe: Recipe, seed: int, pictures: DecodedPictures = FILES
    ) -> None:
        self.mixes, self.size, self.recipe, self.seed, self.pictures = mixes, size, recipe, seed, pictures

    def __getitem__(self, index: tuple[int, int]) -> tuple[Tensor, int, int, Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, *index])
        view = self.mixes[index[1]].draw(rng)
        pixels, factors, blank = train_view(view, self.size, self.recipe, rng, self.pictures)
        return pixels, view.label, view.cluster, factors, blank

    def __len__(self) -> int:
        return len(self.mixes)


class EpochSampler(Sampler[list[tuple[int, int]]]):
    """This rank's share of each batch of (epoch, picture). Each epoch has another order; set ``epoch`` before a pass.

    The last, smaller batch is dropped unless it is the only one, so that all steps have equal weight.
    Raises ConfigError for a batch of fewer pictures than ranks.
    """

    def __init__(self, count: int, batch_size: int, seed: int, world: World = ALONE) -> None:
        self.count, self.batch_size, self.seed, self.epoch = count, min(batch_size, count), seed, 0
        self.world = world
        if self.batch_size < world.size:
            raise ConfigError(f"a batch of {self.batch_size} pictures is too small for {world.size} processes.")

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        for start in range(len(self)):
            batch = order[start * self.batch_size : (start + 1) * self.batch_size]
            yield [(self.epoch, int(index)) for index in self.world.share(batch.tolist())]

    def __len__(self) -> int:
        return self.count // self.batch_size


@dataclass(frozen=True)
class FixedBatches:
    """Batches of (uint8 views, labels, clusters) in order, read ahead by threads: a pass is too short for processes.

    Each rank gets whole batches, and the batches do not depend on the number of ranks: the last bits of a picture's
    features depend on the batch that it is in.
    """

    views: Sequence[View]
    size: int
    batch_size: int
    hardware: Hardware

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The rank's share. Raises PictureError."""
        pool = ThreadPoolExecutor(max(self.hardware.workers, 1), "wingbar", _give_way_in_thread)
        coming: deque[Future[tuple[Tensor, Tensor, Tensor]]] = deque()
        try:
            for places in self._share():
                coming.append(pool.submit(self._read, places))
                if len(coming) > AHEAD * self.hardware.workers:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:  # also when whoever asked has gone
            pool.shutdown(cancel_futures=True)

    def __len__(self) -> int:
        return len(self._share())

    def _share(self) -> Sequence[list[int]]:
        return self.hardware.world.share(batches(len(self.views), self.batch_size))

    def _read(self, places: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        views = [self.views[place] for place in places]
        squares = [np.asarray(square(view.path, view.box, self.size, self.hardware.pictures)) for view in views]
        pixels = np.ascontiguousarray(np.stack(squares).transpose(0, 3, 1, 2))  # by numpy, which starts no threads
        labels, clusters = ([getattr(view, name) for view in views] for name in ("label", "cluster"))
        return torch.from_numpy(pixels), torch.tensor(labels), torch.tensor(clusters)


def load_views(views: Dataset, batches: Iterable[Any], workers: int, **options: Any) -> DataLoader:
    """A loader of these batches whose ``workers`` processes have a lower priority than the process that computes.

    Threads that compute wait for one another, so a loader that takes the core of one delays all (docs/performance.md).
    The loader has a generator of its own, so that it draws nothing from the process's.
    """
    return ViewLoader(
        views,
        batch_sampler=batches,
        num_workers=workers,
        worker_init_fn=_give_way,
        generator=torch.Generator(),
        **options,
    )


class ViewLoader(DataLoader):
    """A DataLoader that explains the error of a script without a ``__main__`` guard, which its loaders run again."""

    def __iter__(self) -> Any:  # torch names its own class, which adds nothing to an iterator
        """The batches.

        Raises RunError where no loader processes can be started, or where some that were not forked end before the
        first batch.
        """
        first = True
        if self.num_workers:
            _require_locks()
        try:
            for batch in super().__iter__():
                first = False
                yield batch
        except RuntimeError as error:
            if first and lost_loader(error) and multiprocessing.get_start_method() != "fork":
                raise RunError(f"A process that loads pictures ended at its start. {GUARD}") from error
            raise


def _require_locks() -> None:
    """Raises RunError where processes cannot be kept in step: some containers have no /dev/shm, or a read-only one."""
    try:
        multiprocessing.get_context().Lock()
    except OSError as error:
        raise RunError(
            f"No processes that load pictures can be started here: a lock between them needs a /dev/shm that can be "
            f"written to ({error.strerror}). Load pictures in the training process: --workers 0 (in Python, workers=0)."
        ) from None


def _give_way(worker: int) -> None:
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def _give_way_in_thread() -> None:
    """Lower the priority of this thread, where threads have one of their own: on Linux."""
    if sys.platform == "linux":
        os.setpriority(
            os.PRIO_PROCESS, threading.get_native_id(), min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, 19)
        )


def batches(count: int, size: int) -> list[list[int]]:
    """The indices below ``count`` in batches of ``size``; the last batch may be smaller."""
    return [list(range(start, min(start + size, count))) for start in range(0, count, size)]
