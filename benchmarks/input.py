"""The way of pictures into a net: loader alone, net alone, both together; and what the decoder's own shrinking saves.

python benchmarks/input.py [--data DATA/cub50] [--quick] [--write]
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from itertools import islice
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from _measure import Options, alternate, door, files, spread, step, table
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from wingbar._system.memory import keep_freed_memory
from wingbar.images import crop_square, picture_size, read_picture
from wingbar.learning import views as views_module
from wingbar.learning.augmentation import augmented
from wingbar.learning.decoded import FILES, DecodedPictures
from wingbar.learning.recipe import RECIPES
from wingbar.learning.views import EpochSampler, Mix, TrainViews, load_views
from wingbar.nets import MapNet, create

NETS = (("res2net_nano", 96, 60), ("mobilenetv2_100", 160, 15), ("mobilenetv2_100", 224, 8), ("res2net50", 160, 5))
"""Name, side in pixels, batches."""
HANDS = ((2, 2), (1, 2), (0, 2), (2, 1), (1, 1))
"""Loader processes, compute threads."""
SIDE, BATCH = 160, 16


def training(options: Options, size: int, workers: int) -> DataLoader:
    """The loader of training views of the default recipe."""
    paths = list(files(options.data, "train").values())
    mixes = [Mix(path, 0, {"whole": [(None, -1)]}, {"whole": 1.0}) for path in paths]
    views = TrainViews(mixes, size, RECIPES["finetune"], 0, decoded(tuple(paths)))
    return load_views(views, EpochSampler(len(mixes), BATCH, 0), workers)


@cache
def decoded(paths: tuple[Path, ...]) -> DecodedPictures:
    """These pictures, all decoded already."""
    sizes = np.array([picture_size(path) for path in paths])
    pictures = DecodedPictures.within(Path(tempfile.gettempdir()), paths, sizes, limit=4)
    for path in paths:
        pictures.read(path)
    return pictures


def learn(
    net: MapNet, optimizer: torch.optim.Optimizer, pixels: Tensor, _: Tensor, __: Tensor, *changes: Tensor
) -> None:
    """One step of training, from a loader's batch."""
    step(net, optimizer, augmented(pixels, *changes, net))


def rate(batches: DataLoader, count: int, use: Callable[..., None]) -> float:
    """Pictures a second over ``count`` batches, the first (workers start) left out."""
    walk = iter(batches)
    use(*next(walk))
    start = time.perf_counter()
    for batch in islice(walk, count):
        use(*batch)
    return count * BATCH / (time.perf_counter() - start)


def views_a_core(options: Options) -> list[list[object]]:
    """Rows: what views are read from, and training views a second of one core, by its processor time."""
    paths = tuple(files(options.data, "train").values())[: options.number(300, 20)]
    mixes = [Mix(path, 0, {"whole": [(None, -1)]}, {"whole": 1.0}) for path in paths]
    sides: dict[str, Callable[[], object]] = {
        name: partial(all_views, TrainViews(mixes, SIDE, RECIPES["finetune"], 0, pictures))
        for name, pictures in (("decoded pictures", decoded(paths)), ("files", FILES))
    }
    timed = alternate(sides, options.number(5, 1), time.process_time)
    return [[name, len(paths) / timed.median(name)] for name in sides]


def all_views(views: TrainViews) -> None:
    for index in range(len(views)):
        views[(0, index)]


def together(options: Options) -> list[list[object]]:
    """Rows: net, side, loaders, threads; pictures a second of loaders, net, both, and both at one priority."""
    found: list[list[object]] = []
    for name, size, batches in NETS[: options.number(len(NETS), 1)]:
        net = create(name, 50).train().to(memory_format=torch.channels_last)
        learning = partial(learn, net, torch.optim.SGD(net.parameters(), 1e-3))
        count, fixed = options.number(batches, 2), next(iter(training(options, size, 0)))
        for workers, threads in HANDS[: options.number(len(HANDS), 1)]:
            torch.set_num_threads(threads)
            timed = alternate({"net": partial(learning, *fixed)}, options.number(5, 1), time.perf_counter)
            alone = rate(training(options, size, workers), count, lambda *_: None)
            both = rate(training(options, size, workers), count, learning)
            with mock.patch.object(views_module, "NICENESS", 0):
                equal = rate(training(options, size, workers), count, learning) if workers else both
            found.append([name, size, workers, threads, alone, BATCH / timed.median("net"), both, equal])
    torch.set_num_threads(1)
    return found


def decoding(options: Options) -> list[list[object]]:
    """Rows: long side of the file, milliseconds from file to square, with and without the decoder's shrinking."""
    paths = files(options.data, "train")
    found = []
    for long_side in (500, 1500, 4000):
        sources = [enlarged(paths[key], long_side) for key in spread(list(paths), options.number(5, 1))]
        wanted = {"with": SIDE, "without": None}
        timed = alternate({side: partial(read, sources, needed) for side, needed in wanted.items()}, 5)
        each = [1e3 * timed.median(side) / len(sources) for side in ("with", "without")]
        found.append([long_side, *each, timed.ratio("without", "with")])
    return found


def read(sources: list[bytes], needed: int | None) -> None:
    for source in sources:
        crop_square(read_picture(source, needed=needed), None, SIDE)


def enlarged(path: Path, long_side: int) -> bytes:
    """The picture as a JPEG file of that size."""
    picture = Image.open(path).convert("RGB")
    scale, file = long_side / max(picture.size), io.BytesIO()
    picture.resize((round(picture.width * scale), round(picture.height * scale))).save(file, "JPEG", quality=90)
    return file.getvalue()


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    sides = ("loaders alone", "net alone", "together", "at one priority")
    header = ("net", "px", "loaders", "compute threads", *sides)
    return f"""## Input

Training views of {SIDE} px a second of one core, from a crop's random draw to the batch:

{table(("read from", "views/s"), views_a_core(options))}

Training views of cub50's decoded pictures, batches of {BATCH}, pictures a second (wall time); loader processes give way
to the one that computes, but in the last column.

{table(header, together(options))}

From a JPEG file to a square of {SIDE} px, milliseconds of one thread, with and without the decoder's own shrinking:

{table(("long side of the file", "with", "without", "times as fast"), decoding(options))}"""


if __name__ == "__main__":
    keep_freed_memory()
    door(measure, __doc__)
