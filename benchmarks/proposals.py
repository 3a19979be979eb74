"""Selective search against OpenCV-contrib's, and the segmentation against scikit-image's.

    python benchmarks/proposals.py [--data DATA/cub50] [--quick] [--write]

Peers that are not installed are left out. Every picture by all of them in turn, one thread each. ABO is the average
best overlap with the object's box among the first 100, 300, 1000 and all boxes; recall the share of pictures where it
reaches 0.5 and 0.7.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from _measure import Options, door, files, rows, spread, table, versions
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


def best_overlaps(found: list[ndarray], truths: list[ndarray]) -> ndarray:
    """The best overlap of each picture (rows) among the first so many boxes (columns)."""
    best = [np.maximum.accumulate(geometry.iou(f, t)[:, 0]) for f, t in zip(found, truths, strict=True)]
    return np.array([[overlap[min(cut, len(overlap)) - 1] for cut in CUTS] for overlap in best])


def compare(finders: dict[str, Finder], images: list[ndarray]) -> tuple[dict[str, float], dict[str, list[ndarray]]]:
    """Median milliseconds a picture and all results of each finder."""
    seconds: dict[str, list[float]] = {name: [] for name in finders}
    results: dict[str, list[ndarray]] = {name: [] for name in finders}
    for find in finders.values():
        find(images[0])
    for image in images:
        for name, find in finders.items():
            start = time.process_time()
            results[name].append(find(image))
            seconds[name].append(time.process_time() - start)
    return {name: 1e3 * float(np.median(times)) for name, times in seconds.items()}, results


def searches(options: Options, mode: str, count: int) -> tuple[list[list[object]], list[list[object]]]:
    """Rows of cost and of overlap, one for each finder of one mode."""
    images, truths = map(list, zip(*pictures(options, count), strict=True))
    finders: dict[str, Finder] = {"ours": lambda image: selective_search(image, mode=mode)}
    if peer := opencv_search(mode):
        finders["OpenCV"] = peer
    milliseconds, found = compare(finders, images)
    costs: list[list[object]] = []
    curves: list[list[object]] = []
    for name in finders:
        number = round(float(np.mean([len(boxes) for boxes in found[name]])))
        best = best_overlaps(found[name], truths)
        times = milliseconds["OpenCV"] / milliseconds[name] if "OpenCV" in finders else "-"
        costs.append([f"{name}, `{mode}`", len(images), milliseconds[name], number, times])
        for measure, values in (("ABO", best), ("recall at 0.5", best >= 0.5), ("recall at 0.7", best >= 0.7)):
            curves.append([measure, f"{name}, `{mode}`", *(f"{value:.3f}" for value in values.mean(0))])
    return costs, curves


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
    fast, quality = (
        searches(options, "fast", options.number(100, 2)),
        searches(options, "quality", options.number(24, 1)),
    )
    return f"""## Selective search

Test pictures at their stored size, one thread a side.
Peers: {versions("opencv-contrib-python-headless", "scikit-image")}.

{table(("search", "pictures", "ms a picture", "boxes", "times as fast as OpenCV"), fast[0] + quality[0])}

How well the best of the first so many boxes overlaps the object's box (ABO: average best overlap; recall: share of
pictures where it reaches that IoU):

{table(("", "search", *map(str, CUTS[:-1]), "all"), sorted(fast[1] + quality[1], key=lambda row: str(row[0])))}

{segmentation(options, options.number(100, 2))}"""


if __name__ == "__main__":
    door(measure, __doc__)
