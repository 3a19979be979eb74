"""Steps on patches: selective search, and FilterNet's choice among what it found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float32, Int, UInt8
from numpy import ndarray

from wingbar.attention import crop_boxes, propose, squares
from wingbar.data.sample import Sample
from wingbar.images import READ_SIDE, Picture, read_picture
from wingbar.learning.views import View, fixed_view
from wingbar.nets.saliency_head import MapNet, normalize
from wingbar.opam.filtering import crop_confidences, keep_patches, roi_confidences
from wingbar.steps.job import Job
from wingbar.steps.nets import MAP_SCALE, net_of
from wingbar.store import Result, pack, unpack

CROPS_AT_ONCE = 64


def proposals(job: Job) -> Result:
    """Candidate boxes of every training picture (ragged, best first)."""
    settings = job.config.proposals

    def compute() -> Result:
        def one(sample: Sample) -> ndarray:
            return propose(read_picture(sample.path, short_side=settings.side), settings)

        found = job.world.map(one, job.samples, job.reporter.watched)
        return Result(pack(found), {"mean_count": float(np.mean([len(boxes) for boxes in found]))})

    return job.before_refit().step("proposals", dataclasses.asdict(settings), [], compute)


def patches(job: Job, candidates: Result, filternets: Sequence[tuple[Result, Int[ndarray, "held"]]]) -> Result:
    """The candidates that FilterNet trusts; ``filternets`` come with the pictures that each one scores."""
    settings, boxes = job.config.filtering, unpack(candidates.arrays)

    def scored(net: MapNet, indices: Sequence[int]) -> Iterator[ndarray]:
        scores = (_confidences(job, net, index, boxes[index]) for index in indices)
        return job.reporter.watched(scores, len(indices))

    def compute() -> Result:
        kept = [np.zeros((0, 4), np.int32)] * len(boxes)
        confident = total = 0
        for trained, held in filternets:
            net, some = net_of(job, trained), [int(index) for index in held if len(boxes[index])]
            told = job.world.collect(partial(scored, net, job.world.share(some)))
            for index, scores in zip(some, told, strict=True):
                confident, total = confident + int((scores > settings.threshold).sum()), total + len(scores)
                kept[index] = boxes[index][keep_patches(scores, settings.threshold, settings.cap)]
        share = confident / max(total, 1)
        job.reporter.say(f"  {share:.1%} of {total} patches are above the threshold")
        if not confident:
            job.reporter.say(
                "  so ClassNet learns from whole pictures only; more --epochs make FilterNet surer, or lower "
                "filtering.threshold in the file of --config"
            )
        return Result(pack(kept), {"share_above": share})

    def unfiltered() -> Result:
        return Result(pack([own[: settings.cap] for own in boxes]))

    inputs = [candidates, *(trained for trained, _ in filternets)]
    chosen = compute if settings.enabled else unfiltered
    return job.step("patches", [dataclasses.asdict(settings), job.config.size], inputs, chosen)


def _confidences(job: Job, net: MapNet, index: int, boxes: Int[ndarray, "n 4"]) -> ndarray:
    sample, size = job.samples[index], job.config.size
    if job.config.filtering.scorer == "crop":
        return crop_scores(net, read_picture(sample.path, short_side=READ_SIDE), boxes, sample.label, size)
    picture = fixed_view(View(sample.path, sample.label), MAP_SCALE * size)
    return roi_scores(net, picture, job.sizes[index], boxes, sample.label)


@torch.no_grad()
def crop_scores(
    net: MapNet, picture: Picture, boxes: Int[ndarray, "n 4"], label: int, size: int
) -> Float32[ndarray, "n"]:
    """Each patch cut out and forwarded as a picture of its own."""
    device = next(net.parameters()).device
    scores = []
    for start in range(0, len(boxes), CROPS_AT_ONCE):
        cut = crop_boxes(boxes[start : start + CROPS_AT_ONCE], picture.size, 0.0)
        pixels = torch.from_numpy(squares([picture] * len(cut), cut, size)).to(device)
        scores.append(crop_confidences(net, normalize(pixels, net), label).cpu().numpy())
    return np.concatenate(scores)


@torch.no_grad()
def roi_scores(
    net: MapNet,
    square: UInt8[torch.Tensor, "3 side side"],
    size: tuple[int, int],
    boxes: Int[ndarray, "n 4"],
    label: int,
) -> Float32[ndarray, "n"]:
    """Every patch pooled from one forward pass of the whole picture (``size``), squashed to a square."""
    device = next(net.parameters()).device
    scaled = boxes * np.tile(np.array(square.shape[1:]) / size, 2)
    return roi_confidences(net, normalize(square[None].to(device), net)[0], scaled, label).cpu().numpy()
