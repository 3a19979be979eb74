"""How time and memory of each step grow with the pictures and with the candidates, and what a million would take.

    python benchmarks/growth.py [--data DATA/cub50] [--quick] [--write]

Each step runs over the same training pictures (over and over, where there are too few), keeps what the pipeline
keeps, and is weighed after 250, 500, 1,000 and 2,000 of them. One thread, nets as for prediction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from _measure import Options, alternate, door, files, give_back, peak_memory, resident, table
from numpy import ndarray

from wingbar.images import Picture, picture_size, read_picture
from wingbar.learning.views import square, to_tensor
from wingbar.nets import MapNet, create, for_inference
from wingbar.nets.outputs import PictureNet
from wingbar.nets.saliency_head import normalize
from wingbar.opam.filtering import keep_patches, roi_confidences
from wingbar.opam.localization import Rule, box_from_map
from wingbar.opam.parts import PartSettings, choose_parts, select_parts
from wingbar.opam.proposals import ProposalSettings, propose
from wingbar.opam.saliency import saliency_maps
from wingbar.steps.nets import MAP_SCALE

SIZE = 160
MILLION = 1_000_000
COUNTS = (250, 500, 1000, 2000)
CANDIDATES = (100, 300, 1000, 3000)


class Steps:
    """The steps one after the other, on one picture each, with what they keep."""

    def __init__(self, options: Options) -> None:
        torch.manual_seed(0)
        net = create("mobilenetv2_100", 50).eval()
        self.net: MapNet = for_inference(net).to(memory_format=torch.channels_last)
        self.paths = list(files(options.data, "train").values())
        self.proposals, self.parts = ProposalSettings(), PartSettings()
        self.kept: dict[str, list[ndarray]] = {name: [] for name in self.all()}

    def all(self) -> dict[str, Callable[[int], ndarray]]:
        """Step -> what it gives for the picture of this number."""
        return {
            "selective search": self.search,
            "patch scoring": self.score,
            "saliency": self.look,
            "parts": self.choose,
        }

    def read(self, number: int) -> Picture:
        return read_picture(self.paths[number % len(self.paths)], short_side=self.proposals.side)

    def search(self, number: int) -> ndarray:
        return propose(self.read(number), self.proposals)

    def score(self, number: int) -> ndarray:
        path, side = self.paths[number % len(self.paths)], MAP_SCALE * SIZE
        pixels = normalize(to_tensor(square(path, None, side))[None], self.net)[0]
        width, height = picture_size(path)
        boxes = self.kept["selective search"][number] * np.array([side / width, side / height] * 2)
        return keep_patches(roi_confidences(self.net, pixels, boxes, 0).numpy(), 0.0)

    def look(self, number: int) -> ndarray:
        pixels = to_tensor(square(self.paths[number % len(self.paths)], None, SIZE))
        with torch.no_grad():
            evidence, logits, *_ = PictureNet(self.net)(pixels[None])
        return saliency_maps(evidence.numpy(), logits.numpy())[0]

    def choose(self, number: int) -> ndarray:
        size, side = self.read(number).size, self.proposals.side
        boxes, own = self.kept["selective search"][number], self.kept["saliency"][number]
        box = box_from_map(own, size, side, Rule.parse("cam otsu"), boxes)
        return choose_parts(boxes, box, own, size, side, self.parts)


def by_pictures(options: Options) -> tuple[list[list[object]], list[list[object]]]:
    """Rows of each step at each number of pictures, and what a million would take."""
    counts = (4, 8) if options.quick else COUNTS
    steps = Steps(options)
    found, million = [], []
    for name, step in steps.all().items():
        step(0)
        give_back()
        seconds, start, kept = 0.0, resident(), steps.kept[name]
        for count in counts:
            began = time.process_time()
            while len(kept) < count:
                kept.append(step(len(kept)))
            seconds += time.process_time() - began
            give_back()
            found.append([name, count, 1e3 * seconds / count, resident() - start])
        bytes_each = sum(result.nbytes for result in kept) / len(kept)
        million.append([name, seconds / counts[-1] * MILLION / 3600, bytes_each * MILLION / 1e9])
    return found, million


def by_candidates(options: Options) -> list[list[object]]:
    """Rows of patch scoring and parts at each number of candidates."""
    rng, side = np.random.default_rng(0), MAP_SCALE * SIZE
    net = Steps(options).net
    picture, hill = torch.randn(3, side, side), rng.random((side, side)).astype(np.float32)
    corners = np.sort(rng.integers(0, side + 1, (max(CANDIDATES), 2, 2)), axis=2)
    boxes = np.stack([corners[:, 0, 0], corners[:, 1, 0], corners[:, 0, 1], corners[:, 1, 1]], axis=1)
    found = []
    for count in CANDIDATES:
        own, target = boxes[:count], (side // 4, side // 4, side * 3 // 4, side * 3 // 4)
        runs: dict[str, Callable[[], object]] = {
            "patch scoring": partial(roi_confidences, net, picture, own, 0),
            "parts": partial(select_parts, own, target, hill, object_constraint=False),
        }
        timed = alternate(runs, options.number(7, 1))
        found += [[name, count, 1e3 * timed.median(name), peak_memory(run)] for name, run in runs.items()]
    return sorted(found, key=lambda row: str(row[0]))


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    pictures, million = by_pictures(options)
    return f"""## Growth

Steps on training pictures, MobileNetV2 at {SIZE} px, one thread, processor time; MB is how much more the process holds
after that many pictures, with all that the step keeps.

{table(("step", "pictures", "ms a picture", "MB more"), pictures)}

One picture with so many candidates:

{table(("step", "candidates", "ms", "peak MB"), by_candidates(options))}

So a million pictures take, on one core and kept in memory as the pipeline keeps them (arrays alone):

{table(("step", "hours", "GB"), million)}"""


if __name__ == "__main__":
    door(measure, __doc__)
