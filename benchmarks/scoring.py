"""Patch scoring: every patch forwarded by itself against all of them pooled from one pass. Cost and fidelity.

    python benchmarks/scoring.py [--data DATA/cub50] [--quick] [--write]

A plain net is trained on the first ten classes and judged on the training pictures that were held out of it.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _measure import Options, alternate, door, spread, table
from numpy import ndarray
from scipy.stats import spearmanr

import wingbar
from wingbar.config import Config
from wingbar.data import load
from wingbar.data.sample import Dataset, Sample
from wingbar.data.splits import validation_split
from wingbar.images import READ_SIDE, read_picture
from wingbar.learning.views import square, to_tensor
from wingbar.model.folder import read_model
from wingbar.model.torch_runtime import nets_of
from wingbar.nets import MapNet
from wingbar.opam.filtering import FilterSettings, keep_patches
from wingbar.opam.proposals import ProposalSettings, propose
from wingbar.steps.filtering import crop_scores, roi_scores
from wingbar.steps.nets import MAP_SCALE

PATCHES = 1000


def held_pictures(dataset: Dataset, config: Config) -> list[Sample]:
    """The training pictures that no net of a run with these settings learns from."""
    samples = dataset.split("train")
    _, held = validation_split(np.array([sample.label for sample in samples]), config.validation, config.seed)
    return [samples[index] for index in held]


def compare(net: MapNet, sample: Sample, size: int, patches: int) -> tuple[list[float], list[ndarray]]:
    """Seconds of crops and of pooling for one picture, and both sides' scores."""
    picture = read_picture(sample.path, short_side=READ_SIDE)
    boxes = propose(picture, ProposalSettings(mode="quality", limit=patches))
    found: dict[str, ndarray] = {}

    def pooled() -> None:
        whole = to_tensor(square(sample.path, None, MAP_SCALE * size))
        found["pooled"] = roi_scores(net, whole, picture.size, boxes, sample.label)

    def cropped() -> None:
        found["crops"] = crop_scores(net, picture, boxes, sample.label, size)

    timed = alternate({"pooled": pooled, "crops": cropped}, 1)
    return [timed.median(side) for side in ("crops", "pooled")], [found["crops"], found["pooled"]]


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    classes = options.number(10, 3)
    dataset = load(options.data).first_classes(classes)
    config = Config(method="plain", epochs=options.number(8, 1), workers=0)
    with tempfile.TemporaryDirectory() as folder:
        wingbar.train(dataset, Path(folder), config, quiet=True)
        net = nets_of(read_model(folder))["picture"].to(memory_format=torch.channels_last)
    held = held_pictures(dataset, config)
    chosen = [held[int(key)] for key in spread([str(i) for i in range(len(held))], options.number(24, 2))]
    judged = list(map(partial(compare, net, size=config.size, patches=options.number(PATCHES, 100)), chosen))
    seconds = np.array([timed for timed, _ in judged])
    scores = [both for _, both in judged]
    agreed = [spearmanr(*both).statistic for both in scores]
    settings = FilterSettings()
    kept = [[set(keep_patches(one, settings.threshold, settings.cap).tolist()) for one in both] for both in scores]
    shared = [len(a & b) / len(a | b) for a, b in kept if a | b]
    counts = np.mean([[len(one) for one in both] for both in kept], axis=0)
    crops, pooled = 1e3 * np.median(seconds, axis=0)
    rows: list[list[object]] = [
        ["ms a picture, every patch forwarded", float(crops)],
        ["ms a picture, pooled from one pass of twice the side (decoding included)", float(pooled)],
        ["times cheaper (median of pictures)", float(np.median(seconds[:, 0] / seconds[:, 1]))],
        ["rank correlation of the scores (Spearman, median)", float(np.nanmedian(agreed))],
        [f"patches kept (over {settings.threshold}, at most {settings.cap}), crops", float(counts[0])],
        ["patches kept, pooled", float(counts[1])],
        ["overlap of the kept sets (shared over all, mean)", float(np.mean(shared)) if shared else "-"],
    ]
    return f"""## Patch scoring

{config.net} trained at {config.size} px on {classes} classes, {len(chosen)} pictures that it has not seen, up to
{options.number(PATCHES, 100)} patches each, one thread:

{table(("", ""), rows)}"""


if __name__ == "__main__":
    door(measure, __doc__)
