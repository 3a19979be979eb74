"""Patch scoring: every patch forwarded by itself against all of them pooled from one pass. Cost and fidelity.

    python benchmarks/scoring.py DATA/cub50 RUN [--pictures 40] [--patches 1000]

RUN is a run whose FilterNet is judged (its step `filternet`), on training pictures of the validation cut, which it has
not learnt from. Times are medians of alternating runs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.stats import spearmanr

from wingbar.attention import propose
from wingbar.config import FilterSettings, ProposalSettings, read_config
from wingbar.data import load
from wingbar.data.splits import validation_split
from wingbar.evaluation.tables import render
from wingbar.images import READ_SIDE, read_picture
from wingbar.learning.views import View, fixed_view
from wingbar.nets import create
from wingbar.opam.filtering import keep_patches
from wingbar.steps.nets import MAP_SCALE
from wingbar.steps.patches import crop_scores, roi_scores


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--patches", type=int, default=1000)
    options = parser.parse_args()
    config, state = (
        read_config(options.run / "config.toml"),
        load_file(options.run / "steps/filternet/result.safetensors"),
    )
    net = create(config.net, len(state["head.bias"]))
    net.load_state_dict(state)
    net.eval().to(memory_format=torch.channels_last)
    samples = load(options.data).first_classes(len(state["head.bias"])).split("train")
    _, held = validation_split(np.array([sample.label for sample in samples]), config.validation, config.seed)
    drawn = np.random.default_rng(0).choice(held, min(options.pictures, len(held)), replace=False)
    search = ProposalSettings(mode="quality", limit=options.patches)
    filtering, spent, agreed, overlaps, kept_counts = FilterSettings(), [], [], [], []
    for index in drawn:
        sample = samples[index]
        picture = read_picture(sample.path, short_side=READ_SIDE)
        boxes = propose(picture, search)
        started = time.perf_counter()
        each = crop_scores(net, picture, boxes, sample.label, config.size)
        between = time.perf_counter()
        square = fixed_view(View(sample.path, sample.label), MAP_SCALE * config.size)
        pooled = roi_scores(net, square, picture.size, boxes, sample.label)
        spent.append((between - started, time.perf_counter() - between))
        kept = [set(keep_patches(scores, filtering.threshold, filtering.cap)) for scores in (each, pooled)]
        agreed.append(spearmanr(each, pooled).statistic)
        kept_counts.append([len(one) for one in kept])
        if any(kept):
            overlaps.append(len(kept[0] & kept[1]) / len(kept[0] | kept[1]))
    crop, roi = np.median(spent, axis=0)
    rows = [
        ["patches a picture", f"{len(boxes)}"],
        ["crops, ms a picture", f"{1e3 * crop:.0f}"],
        ["pooled from one pass, ms a picture", f"{1e3 * roi:.1f}"],
        ["times cheaper", f"{crop / roi:.0f}"],
        ["rank correlation (Spearman), median over pictures", f"{np.nanmedian(agreed):.2f}"],
        [
            "kept patches a picture, crops / pooled",
            " / ".join(f"{count:.1f}" for count in np.mean(kept_counts, axis=0)),
        ],
        ["overlap of the kept sets (Jaccard), mean", f"{np.mean(overlaps):.2f}" if overlaps else "-"],
    ]
    print(render([f"{config.net}, {config.size} px, {len(drawn)} pictures", ""], rows))


if __name__ == "__main__":
    main()
