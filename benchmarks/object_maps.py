"""How well the first maps of the object box it, by net, size and data set, before any net has learnt.

    python benchmarks/object_maps.py DATA/cub50 [--quick]

For each net at each size: a discriminant of the training pictures' features, and the boxes of the regions that its map
tells by Otsu's threshold. Compared are the map of one fit, the map of fits until it is steady with border cells at the
very edge, and the product's. Each is fitted on either half of the pictures, and boxes all of them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from wingbar.data import load
from wingbar.data.layouts.annotations import with_boxes
from wingbar.data.sample import Sample
from wingbar.data.synthetic import write_dataset
from wingbar.evaluation.localization import paired_iou
from wingbar.evaluation.tables import render
from wingbar.images import cut_squares, read_picture
from wingbar.nets import create
from wingbar.nets.middle import both_maps, middle_layer
from wingbar.nets.saliency_head import normalize
from wingbar.opam.basis import Basis
from wingbar.opam.discriminant import object_direction
from wingbar.opam.localization import box_from_map
from wingbar.opam.maps import stretch
from wingbar.steps.discriminant import LAST_KEPT, MIDDLE_KEPT, OTSU, joined

NETS = {
    "mobilenetv2_100": (320, 416),
    "tf_efficientnet_lite0": (320, 416, 576),
    "tf_efficientnet_lite1": (512,),
    "tf_efficientnet_lite2": (512, 672),
}
FITS: dict[str, Callable[[Tensor], Tensor]] = {
    "one fit": lambda maps: object_direction(maps, edge=0, rounds=0),
    "steady, border at the edge": lambda maps: object_direction(maps, edge=0),
    "steady": object_direction,
}
PICTURES, SHORT_SIDE, BATCH = 150, 512, 8


def evenly(samples: tuple[Sample, ...], count: int) -> tuple[Sample, ...]:
    """About ``count`` of the samples, evenly spaced."""
    return samples[:: max(len(samples) // count, 1)][:count]


def maps_of(name: str, size: int, samples: tuple[Sample, ...]) -> tuple[Tensor, Tensor]:
    """The last map and the map halfway of each sample, whole, as the starting weights give them."""
    torch.manual_seed(0)
    net = create(name, 2, "imagenet").eval()
    layer, last, middle = middle_layer(net), [], []
    for first in range(0, len(samples), BATCH):
        pictures = [read_picture(sample.path, short_side=SHORT_SIDE) for sample in samples[first : first + BATCH]]
        squares = torch.from_numpy(np.ascontiguousarray(cut_squares(pictures, [None] * len(pictures), size)))
        with torch.no_grad():
            a, b = both_maps(net, layer, normalize(squares, net))
        last.append(a)
        middle.append(b)
    return torch.cat(last), torch.cat(middle)


def overlaps(maps: ndarray, samples: tuple[Sample, ...], true: ndarray) -> ndarray:
    """Of the boxes of the maps' regions with the true ones."""
    none = np.zeros((0, 4), np.int32)
    sizes = [read_picture(sample.path, short_side=SHORT_SIDE).size for sample in samples]
    boxes = [box_from_map(one, size, 256, OTSU, none) for one, size in zip(stretch(maps), sizes, strict=True)]
    return paired_iou(np.array(boxes), true)


def row(name: str, size: int, samples: tuple[Sample, ...]) -> list[str]:
    """Shares of IoU >= .5 / .7, by each way to fit and each half of the pictures."""
    last, middle = maps_of(name, size, samples)
    true = np.array([sample.box for sample in samples]).round().astype(int)
    cells = []
    for fit in FITS.values():
        shares = []
        for half in (0, 1):
            bases = Basis.of(last[half::2], LAST_KEPT), Basis.of(middle[half::2], MIDDLE_KEPT)
            features = joined(bases[0].project(last), bases[1].project(middle))
            told = torch.einsum("bchw,c->bhw", features, fit(features[half::2])).numpy()
            shares.append([float((overlaps(told, samples, true) >= t).mean()) for t in (0.5, 0.7)])
        cells.append(" / ".join(f"{100 * value:.0f}" for value in np.mean(shares, 0)))
    return [name, str(size), *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--quick", action="store_true", help="two nets at their smallest size")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drawn = with_boxes(load(write_dataset(Path(folder) / "birds", test=1)))
        real = with_boxes(load(options.data).first_classes(20))
        for title, dataset in (("cub50, first 20 classes", real), ("drawn birds", drawn)):
            samples = evenly(dataset.split("train"), PICTURES)
            nets = {name: sizes[:1] for name, sizes in list(NETS.items())[:2]} if options.quick else NETS
            rows = [row(name, size, samples) for name, sizes in nets.items() for size in sizes]
            print(f"\n{title}: {len(samples)} training pictures, IoU >= .5 / .7 in %\n")
            print(render(["net", "size", *FITS], rows), flush=True)


if __name__ == "__main__":
    main()
