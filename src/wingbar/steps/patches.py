"""Steps on patches: selective search, and FilterNet's choice among what it found."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from wingbar.attention import crop_boxes, propose
from wingbar.data.sample import Sample
from wingbar.images import read_picture
from wingbar.learning.views import View, fixed_loader, fixed_view
from wingbar.nets.saliency_head import MapNet, normalize
from wingbar.opam.filtering import crop_confidences, keep_patches, roi_confidences
from wingbar.steps.job import Job
from wingbar.steps.nets import MAP_SCALE, net_of
from wingbar.store import Result, pack, unpack


def proposals(job: Job) -> Result:
    """Candidate boxes of every training picture (ragged, best first)."""
    settings = job.config.proposals

    def compute() -> Result:
        def one(sample: Sample) -> ndarray:
            return propose(read_picture(sample.path, short_side=settings.side), settings)

        with ThreadPoolExecutor() as pool:
            found = list(pool.map(one, job.samples))
        return Result(pack(found), {"mean_count": float(np.mean([len(boxes) for boxes in found]))})

    return job.step("proposals", dataclasses.asdict(settings), [], compute)


def patches(job: Job, candidates: Result, filternets: Sequence[tuple[Result, Int[ndarray, "held"]]]) -> Result:
    """The candidates that FilterNet trusts; ``filternets`` come with the pictures that each one scores."""
    settings = job.config.filtering

    def compute() -> Result:
        boxes = unpack(candidates.arrays)
        kept = [np.zeros((0, 4), np.int32)] * len(boxes)
        confident = total = 0
        for trained, held in filternets:
            net = net_of(job, trained)
            for index in held:
                if len(boxes[index]) == 0:
                    continue
                scores = _confidences(job, net, int(index), boxes[index])
                confident, total = confident + int((scores > settings.threshold).sum()), total + len(scores)
                kept[index] = boxes[index][keep_patches(scores, settings.threshold, settings.cap)]
        share = confident / max(total, 1)
        job.reporter.say(f"  {share:.1%} of {total} patches are above the threshold")
        return Result(pack(kept), {"share_above": share})

    def unfiltered() -> Result:
        return Result(pack([boxes[: settings.cap] for boxes in unpack(candidates.arrays)]))

    inputs = [candidates, *(trained for trained, _ in filternets)]
    chosen = compute if settings.enabled else unfiltered
    return job.step("patches", [dataclasses.asdict(settings), job.config.size], inputs, chosen)


@torch.no_grad()
def _confidences(job: Job, net: MapNet, index: int, boxes: Int[ndarray, "n 4"]) -> ndarray:
    sample, size, device = job.samples[index], job.config.size, job.hardware.device
    if job.config.filtering.scorer == "crop":
        views = [View(sample.path, sample.label, box) for box in crop_boxes(boxes, job.sizes[index], 0.0)]
        batches = fixed_loader(views, size, 64, 0)
        scores = [crop_confidences(net, normalize(pixels.to(device), net), sample.label) for pixels, _, _ in batches]
        return torch.cat(scores).cpu().numpy()
    side = MAP_SCALE * size
    picture = normalize(fixed_view(View(sample.path, sample.label), side)[None].to(device), net)[0]
    width, height = job.sizes[index]
    scaled = boxes * np.array([side / width, side / height] * 2)
    return roi_confidences(net, picture, scaled, sample.label).cpu().numpy()
