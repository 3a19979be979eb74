"""Selective search against OpenCV-contrib's, and the segmentation against scikit-image's.

    python benchmarks/proposals.py [--data DATA/cub50] [--quick] [--write]

Peers that are not installed are left out. Every picture by all of them in turn, one thread each; ABO is the average
best overlap with the object's box among the first 100, 300, 1000 and all boxes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from _measure import Options, alternate, door, files, rows, spread, table, versions
from numpy import ndarray
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from wingbar import boxes as geometry
from wingbar.opam.proposals import felzenszwalb, selective_search

CUTS = (100, 300, 1000, 10**9)
Finder = Callable[[ndarray], ndarray]


def pictures(options: Options, count: int) -> list[tuple[ndarray, ndarray]]:
    """``count`` test pictures, evenly spread over the classes, each with its object's box."""
    paths, truths = files(options.data), rows(options.data, "bounding_boxes")
    found = []
    for key in spread(list(paths), count):
        x, y, width, height = map(float, truths[key])
        pixels = np.asarray(Image.open(paths[key]).convert("RGB"))
        found.append((pixels, np.array([[x, y, x + width, y + height]])))
    return found


def opencv_search(mode: str) -> Finder | None:
    try:
        import cv2
        from cv2.ximgproc import segmentation
    except ImportError:
        return None
    cv2.setNumThreads(1)

    def search(image: ndarray) -> ndarray:
        cv2.setRNGSeed(0)
        method = segmentation.createSelectiveSearchSegmentation()
        method.setBaseImage(np.ascontiguousarray(image[..., ::-1]))
        (method.switchToSelectiveSearchFast if mode == "fast" else method.switchToSelectiveSearchQuality)()
        boxes = method.process().astype(np.int64)
        boxes[:, 2:] += boxes[:, :2]
        return boxes

    return search


def reference_segmentation() -> Finder | None:
    try:
        from skimage.segmentation import felzenszwalb as reference
    except ImportError:
        return None
    return lambda image: reference(image, scale=100, sigma=0.8, min_size=50)


def overlaps(found: list[ndarray], truths: list[ndarray]) -> Iterator[float]:
    """Average best overlap among the first so many boxes."""
    best = [np.maximum.accumulate(geometry.iou(f, t)[:, 0]) for f, t in zip(found, truths, strict=True)]
    for cut in CUTS:
        yield round(float(np.mean([overlap[min(cut, len(overlap)) - 1] for overlap in best])), 3)


def compare(finders: dict[str, Finder], images: list[ndarray]) -> tuple[dict[str, float], dict[str, list[ndarray]]]:
    """Median milliseconds a picture and all results of each finder."""
    seconds: dict[str, list[float]] = {name: [] for name in finders}
    for image in images:
        timed = alternate({name: partial(find, image) for name, find in finders.items()}, 1)
        for name in finders:
            seconds[name].append(timed.median(name))
    results = {name: [find(image) for image in images] for name, find in finders.items()}
    return {name: 1e3 * float(np.median(times)) for name, times in seconds.items()}, results


def searches(options: Options, mode: str, count: int) -> list[list[object]]:
    """A row for each finder of one mode."""
    images, truths = map(list, zip(*pictures(options, count), strict=True))
    finders: dict[str, Finder] = {"ours": lambda image: selective_search(image, mode=mode)}
    if peer := opencv_search(mode):
        finders["OpenCV"] = peer
    milliseconds, found = compare(finders, images)
    numbers = {name: float(np.mean([len(boxes) for boxes in found[name]])) for name in finders}
    return [
        [f"{name}, `{mode}`", len(images), milliseconds[name], numbers[name], *overlaps(found[name], truths)]
        for name in finders
    ]


def segmentation(options: Options, count: int) -> str:
    """The graph segmentation alone, beside scikit-image's."""
    finders: dict[str, Finder] = {"ours": lambda image: felzenszwalb(image, 100.0, 0.8, 50)}
    if peer := reference_segmentation():
        finders["peer"] = peer
    milliseconds, found = compare(finders, [image for image, _ in pictures(options, count)])
    told = f"The graph segmentation alone: {milliseconds['ours']:.3g} ms"
    if "peer" not in finders:
        return told + "."
    both = list(zip(found["ours"], found["peer"], strict=True))
    same = sum(np.array_equal(a, b) for a, b in both)
    rand = np.mean([adjusted_rand_score(a.ravel(), b.ravel()) for a, b in both])
    ratio = milliseconds["peer"] / milliseconds["ours"]
    return f"""{told} against scikit-image's {milliseconds["peer"]:.3g} ms ({ratio:.1f} times),
labels equal pixel for pixel on {same} of {len(both)} pictures, mean adjusted Rand index {rand:.4f}. Its constants were
chosen on training pictures."""


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    found = searches(options, "fast", options.number(100, 4)) + searches(options, "quality", options.number(24, 1))
    header = ("search", "pictures", "ms a picture", "boxes", "ABO@100", "ABO@300", "ABO@1000", "ABO")
    return f"""## Selective search

Test pictures at their stored size, one thread a side; ABO is the average best overlap with the object's box, over the
first so many boxes. Peers: {versions("opencv-contrib-python-headless", "opencv-contrib-python", "scikit-image")}.

{table(header, found)}

{segmentation(options, options.number(100, 4))}"""


if __name__ == "__main__":
    door(measure, __doc__)
