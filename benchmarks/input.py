"""The way of pictures into a net: loader alone, net alone, both together; and what the decoder's own shrinking saves.

python benchmarks/input.py [--data DATA/cub50] [--quick] [--write]
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from _measure import Options, alternate, door, files, spread, table
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from wingbar.images import crop_square, read_picture
from wingbar.learning.recipe import RECIPES
from wingbar.learning.views import OVERSAMPLING, EpochSampler, Mix, TrainViews
from wingbar.nets import MapNet, create
from wingbar.nets.saliency_head import normalize

SIZES = (160, 224)
BATCH = 16


def loader(options: Options, size: int, workers: int) -> DataLoader:
    """Training views of the default recipe."""
    mixes = [Mix(path, 0, {"whole": [(None, -1)]}, {"whole": 1.0}) for path in files(options.data, "train").values()]
    views, sampler = TrainViews(mixes, size, RECIPES["finetune"], 0), EpochSampler(len(mixes), BATCH, 0)
    return DataLoader(views, batch_sampler=sampler, num_workers=workers)


def step(net: MapNet, optimizer: torch.optim.Optimizer, pixels: Tensor) -> None:
    """One step of training."""
    optimizer.zero_grad()
    logits = net(normalize(pixels, net))
    F.cross_entropy(logits, torch.zeros(len(pixels), dtype=torch.long)).backward()
    optimizer.step()


def rate(batches: DataLoader, count: int, use: Callable[[Tensor], None]) -> float:
    """Pictures a second over ``count`` batches, the first (workers start) left out."""
    walk = iter(batches)
    use(next(walk)[0])
    start = time.perf_counter()
    for pixels, _, _ in islice(walk, count):
        use(pixels)
    return count * BATCH / (time.perf_counter() - start)


def together(options: Options) -> list[list[object]]:
    """Rows: side, threads, workers, pictures a second of loader, net, both."""
    found: list[list[object]] = []
    count = options.number(30, 2)
    for size in SIZES[:1] if options.quick else SIZES:
        net = create("mobilenetv2_100", 50).train().to(memory_format=torch.channels_last)
        learn = partial(step, net, torch.optim.SGD(net.parameters(), 1e-3))
        fixed = torch.zeros(BATCH, 3, size, size, dtype=torch.uint8)
        for workers, threads in ((0, 1), (0, 2), (1, 1), (2, 1), (2, 2)):
            torch.set_num_threads(threads)
            timed = alternate({"net": partial(learn, fixed)}, options.number(5, 1), time.perf_counter)
            loader_alone = rate(loader(options, size, workers), count, lambda _: None)
            both = rate(loader(options, size, workers), count, learn)
            found.append([size, workers, threads, loader_alone, BATCH / timed.median("net"), both])
    torch.set_num_threads(1)
    return found


def decoding(options: Options) -> list[list[object]]:
    """Rows: long side of the file, milliseconds from file to square, with and without the decoder's shrinking."""
    paths = files(options.data, "train")
    found = []
    for long_side in (500, 1500, 4000):
        sources = [enlarged(paths[key], long_side) for key in spread(list(paths), options.number(5, 1))]
        wanted = {"with": round(OVERSAMPLING * SIZES[0]), "without": None}
        timed = alternate({side: partial(read, sources, short_side) for side, short_side in wanted.items()}, 5)
        each = [1e3 * timed.median(side) / len(sources) for side in ("with", "without")]
        found.append([long_side, *each, timed.ratio("without", "with")])
    return found


def read(sources: list[bytes], short_side: int | None) -> None:
    for source in sources:
        crop_square(read_picture(source, short_side=short_side), None, SIZES[0])


def enlarged(path: Path, long_side: int) -> bytes:
    """The picture as a JPEG file of that size."""
    picture = Image.open(path).convert("RGB")
    scale, file = long_side / max(picture.size), io.BytesIO()
    picture.resize((round(picture.width * scale), round(picture.height * scale))).save(file, "JPEG", quality=90)
    return file.getvalue()


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    header = ("px", "loader processes", "compute threads", "loader alone", "net alone", "together")
    return f"""## Input

Training views of cub50's files, MobileNetV2, batches of {BATCH}, pictures a second (wall time).

{table(header, together(options))}

From a JPEG file to a square of {SIZES[0]} px, milliseconds of one thread, with and without the decoder's own shrinking:

{table(("long side of the file", "with", "without", "times as fast"), decoding(options))}"""


if __name__ == "__main__":
    door(measure, __doc__)
