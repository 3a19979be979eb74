"""The search for parts: every pair and every triple, against the plain loop over all pairs.

    python benchmarks/parts.py [--data DATA/cub50] [--quick] [--write]

Candidates are those of selective search on test pictures, all of them feasible; or, as hard cases, random boxes on
a smooth map, and boxes that all nearly equal the object on a flat map. The map of a picture is a smooth hill on its
object. Every answer is checked against the plain loop's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numba
import numpy as np
from _measure import Options, alternate, door, files, peak_memory, rows, spread, table
from numpy import ndarray
from PIL import Image

from wingbar.opam._search import MOST_FOR_TRIPLES, best_set
from wingbar.opam.parts import select_parts, summed_saliency
from wingbar.opam.proposals import selective_search

Case = tuple[ndarray, ndarray, ndarray]  # candidates, object box, saliency
COUNTS = (100, 300, 500, 1000, 2000, 3000)


@numba.njit(nogil=True)
def plain_loop(boxes: ndarray, target: ndarray, table: ndarray) -> tuple[int, int]:
    """All pairs one by one, as anyone would write it."""
    n = len(boxes)
    areas, inside, sums = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    for i in range(n):
        x1, y1, x2, y2 = boxes[i]
        areas[i] = (x2 - x1) * (y2 - y1)
        sums[i] = table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]
        wide, high = min(x2, target[2]) - max(x1, target[0]), min(y2, target[3]) - max(y1, target[1])
        inside[i] = max(wide, 0) * max(high, 0)
    best, first, second = 0.0, 0, 1
    for i in range(n):
        for j in range(i + 1, n):
            x1, y1 = max(boxes[i, 0], boxes[j, 0]), max(boxes[i, 1], boxes[j, 1])
            x2, y2 = min(boxes[i, 2], boxes[j, 2]), min(boxes[i, 3], boxes[j, 3])
            common, total = max(x2 - x1, 0) * max(y2 - y1, 0), sums[i] + sums[j]
            wide, high = min(x2, target[2]) - max(x1, target[0]), min(y2, target[3]) - max(y1, target[1])
            gain = inside[i] + inside[j] - max(wide, 0) * max(high, 0) - common
            if gain <= 0:
                continue
            if common > 0:
                total -= table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]
            value = gain * (total / (areas[i] + areas[j] - common))
            if value > best:
                best, first, second = value, i, j
    return first, second


def hill(box: ndarray, height: int, width: int) -> ndarray:
    """A smooth map: 1 in the middle of the box, falling to all sides."""
    y, x = np.mgrid[:height, :width]
    spread_x, spread_y = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
    far = ((x - (box[0] + box[2]) / 2) / spread_x) ** 2 + ((y - (box[1] + box[3]) / 2) / spread_y) ** 2
    return np.exp(-far).astype(np.float32)


def on_pictures(options: Options) -> list[Case]:
    paths, truths = files(options.data), rows(options.data, "bounding_boxes")
    cases = []
    for key in spread(list(paths), options.number(5, 2)):
        pixels = np.asarray(Image.open(paths[key]).convert("RGB"))
        x, y, width, height = (round(float(v)) for v in truths[key])
        target = np.array([x, y, x + width, y + height])
        found = selective_search(pixels, mode="quality", limit=max(COUNTS)).astype(np.int64)
        cases.append((found, target, hill(target, *pixels.shape[:2])))
    return cases


def at_random() -> list[Case]:
    rng, target = np.random.default_rng(0), np.array([100, 70, 320, 250])
    x, y = np.sort(rng.integers(0, 421, (max(COUNTS), 2))), np.sort(rng.integers(0, 321, (max(COUNTS), 2)))
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
    return [(boxes, target, hill(target, 320, 420))]


def nearly_equal() -> list[Case]:
    target = np.array([100, 70, 320, 250])
    boxes = target + np.random.default_rng(0).integers(-12, 13, (max(COUNTS), 4))
    return [(boxes, target, np.ones((320, 420), np.float32))]


def line(name: str, cases: list[Case], count: int, repeats: int) -> list[object]:
    """One row: milliseconds of pairs, plain loop, the whole call and triples, and megabytes of pairs and triples."""
    sides = ("pairs", "plain loop", "call", "triples")
    found: dict[str, list[float]] = {side: [] for side in sides}
    for candidates, target, saliency in cases:
        boxes, summed = candidates[:count], summed_saliency(saliency)
        runs: tuple[Callable[[], Sequence[int]], ...] = (
            partial(best_set, boxes, target, summed, 2),
            partial(plain_loop, boxes, target, summed),
            partial(select_parts, boxes, tuple(target.tolist()), saliency, 2, object_constraint=False),
            partial(best_set, boxes, target, summed, 3),
        )
        assert tuple(runs[0]()) == tuple(runs[1]()) == tuple(runs[2]())
        timed = alternate(dict(zip(sides, runs, strict=True)), repeats)
        for side in sides:
            found[side].append(1e3 * timed.median(side))
        memory = [peak_memory(run) for run in (runs[0], runs[3])]
    middle = {side: float(np.median(times)) for side, times in found.items()}
    triples = f"{middle['triples']:.0f}{'' if count <= MOST_FOR_TRIPLES else ' (beam)'}"
    return [
        name,
        len(boxes),
        middle["pairs"],
        max(found["pairs"]),
        middle["plain loop"],
        middle["call"],
        triples,
        *memory,
    ]


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    kinds = {
        "selective search": on_pictures(options),
        "random boxes": at_random(),
        "near the object, flat map": nearly_equal(),
    }
    found = [
        line(name, cases, count, options.number(5, 1))
        for name, cases in kinds.items()
        for count in (COUNTS if not options.quick else COUNTS[:2])
    ]
    header = (
        "candidates", "number", "pairs, ms", "worst", "plain loop, ms", "`select_parts`, ms",
        "triples, ms", "pairs, MB", "triples, MB",
    )  # fmt: skip
    return f"""## Search for parts

The best pair is the optimum over all pairs, equal to the plain loop's in every run below; triples are the optimum over
all triples of at most {MOST_FOR_TRIPLES} candidates, found by a beam above that. One thread, medians over pictures
(worst: the slowest picture), compiling left out; `select_parts` is the whole call, its table of sums included.

{table(header, found)}"""


if __name__ == "__main__":
    door(measure, __doc__)
