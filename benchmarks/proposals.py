"""Selective search against OpenCV-contrib's, and the segmentation against scikit-image's.

    python benchmarks/proposals.py --data DATA/cub50 --pictures 50 [--split train] [--mode quality]

Peers that are not installed are left out. Times are medians over pictures of runs that alternate between the
peers, one thread each; recall is that of the object's box among the first 100, 300, 1000 and all boxes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy import ndarray
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from wingbar import boxes as geometry
from wingbar.opam.proposals import felzenszwalb, selective_search

CUTS = (100, 300, 1000, 10**9)
Finder = Callable[[ndarray], ndarray]


def pictures(root: Path, split: str, count: int) -> list[tuple[ndarray, ndarray]]:
    """``count`` pictures of a split, evenly spread over the classes, each with its object's box."""

    def table(name: str) -> dict[str, list[str]]:
        return {key: rest for key, *rest in (line.split() for line in (root / name).read_text().splitlines())}

    splits, paths, truths = (table(f"{n}.txt") for n in ("train_test_split", "images", "bounding_boxes"))
    keys = [key for key, value in splits.items() if (value == ["1"]) == (split == "train")]
    chosen = [keys[i] for i in np.linspace(0, len(keys) - 1, min(count, len(keys))).astype(int)]
    found = []
    for key in chosen:
        x, y, width, height = map(float, truths[key])
        pixels = np.asarray(Image.open(root / "images" / paths[key][0]).convert("RGB"))
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


def alternate(finders: dict[str, Finder], images: list[ndarray]) -> dict[str, tuple[float, list[ndarray]]]:
    """Median seconds and all results of each finder, every picture by all of them in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in finders}
    results: dict[str, list[ndarray]] = {name: [] for name in finders}
    for find in finders.values():
        find(images[0])
    for image in images:
        for name, find in finders.items():
            start = time.perf_counter()
            results[name].append(find(image))
            seconds[name].append(time.perf_counter() - start)
    return {name: (float(np.median(seconds[name])), results[name]) for name in finders}


def recall_line(found: list[ndarray], truths: list[ndarray]) -> str:
    overlaps = [np.maximum.accumulate(geometry.iou(f, t)[:, 0]) for f, t in zip(found, truths, strict=True)]
    cells = []
    for cut in CUTS:
        best = np.array([overlap[min(cut, len(overlap)) - 1] for overlap in overlaps])
        recall = " ".join(f"{(best >= least).mean():.2f}" for least in (0.5, 0.7))
        cells.append(f"{'all' if cut == CUTS[-1] else cut}: {best.mean():.3f} ({recall})")
    return "   ".join(cells)


def agreement(ours: list[ndarray], theirs: list[ndarray]) -> tuple[float, float]:
    """Mean adjusted Rand index of the partitions, and the share of pictures where they are identical."""
    pairs = list(zip(ours, theirs, strict=True))
    rand = [adjusted_rand_score(a.ravel(), b.ravel()) for a, b in pairs]
    return float(np.mean(rand)), float(np.mean([np.array_equal(a, b) for a, b in pairs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--mode", choices=("fast", "quality"), default="fast")
    options = parser.parse_args()
    images, truths = map(list, zip(*pictures(options.data, options.split, options.pictures), strict=True))

    searches: dict[str, Finder] = {"wingbar": lambda image: selective_search(image, mode=options.mode)}
    if peer := opencv_search(options.mode):
        searches["opencv"] = peer
    print(f"selective search, {options.mode}, {len(images)} {options.split} pictures")
    print("average best overlap (recall at IoU 0.5, 0.7) among the first boxes")
    timed = alternate(searches, images)
    for name, (median, found) in timed.items():
        number = np.mean([len(boxes) for boxes in found])
        print(f"{name:10} {median * 1e3:8.1f} ms {number:6.0f} boxes   {recall_line(found, truths)}")
    if "opencv" in timed:
        print(f"ratio {timed['opencv'][0] / timed['wingbar'][0]:.1f}")

    segmentations: dict[str, Finder] = {"wingbar": lambda image: felzenszwalb(image, 100.0, 0.8, 50)}
    if peer := reference_segmentation():
        segmentations["scikit"] = peer
    timed = alternate(segmentations, images)
    print("\ngraph segmentation, k = 100, sigma = 0.8, at least 50 pixels")
    for name, (median, _) in timed.items():
        print(f"{name:10} {median * 1e3:8.1f} ms")
    if "scikit" in timed:
        ratio = timed["scikit"][0] / timed["wingbar"][0]
        rand, identical = agreement(timed["wingbar"][1], timed["scikit"][1])
        print(f"ratio {ratio:.1f}   adjusted Rand index {rand:.4f}, identical on {identical:.0%} of pictures")


if __name__ == "__main__":
    main()
