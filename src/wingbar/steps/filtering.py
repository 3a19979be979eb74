"""The step of patch filtering: FilterNet's choice among each picture's candidates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float32, Int, UInt8
from numpy import ndarray

from wingbar.boxes import crop_boxes
from wingbar.data.splits import folds
from wingbar.images import Picture, cut_squares
from wingbar.learning.views import square, to_tensor
from wingbar.nets.saliency_head import MapNet, normalize
from wingbar.opam.filtering import crop_confidences, keep_patches, roi_confidences
from wingbar.steps.job import Job
from wingbar.steps.nets import MAP_SCALE, TrainedNet, net_of
from wingbar.steps.proposals import Proposals
from wingbar.steps.store import Ragged, StepResult

CROPS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Patches(StepResult):
    """The candidates that ClassNet learns from beside the whole pictures."""

    boxes: Ragged
    """int32 [patches, 4] a picture, the surest first, in pixels of the original."""
    share_above: float | None
    """Share of the scored candidates above the threshold; None where none was scored."""


def filter_folds(job: Job) -> list[tuple[str, Int[ndarray, "t"] | None, Int[ndarray, "held"]]]:
    """The name, the training indices (None: all) and the indices of the pictures to score of each FilterNet.

    With folds each net scores the training pictures that it was not trained on. Pictures held out for validation are
    not scored, because no net learns from their patches.
    """
    count = job.config.filtering.folds
    if not job.config.filtering.enabled:
        return []
    if not count:
        return [("filternet", None, job.training)]
    cuts = folds(job.labels[job.training], count, job.config.seed, job.pictures.groups[job.training])
    return [(f"filternet-{fold}", job.training[fitted], job.training[held]) for fold, (fitted, held) in enumerate(cuts)]


def filtering(
    job: Job, candidates: Proposals, filternets: Sequence[tuple[TrainedNet, Int[ndarray, "held"]]]
) -> Patches:
    """Choose the candidates that FilterNet scores above the threshold.

    ``filternets`` are the nets, each with the indices of the pictures that it scores. Where filtering is off, the
    result holds the first candidates of each picture, up to the cap.
    """
    settings, boxes = job.config.filtering, candidates.boxes

    def scored(net: MapNet, indices: Sequence[int]) -> Iterator[ndarray]:
        scores = (_confidences(job, net, index, boxes[index]) for index in indices)
        return job.reporter.watched(scores, len(indices))

    def compute() -> Patches:
        patches = [np.zeros((0, 4), np.int32)] * len(boxes)
        confident = total = 0
        for trained, held in filternets:
            net, some = net_of(job, trained), [int(index) for index in held if len(boxes[index])]
            confidences = job.world.collect(partial(scored, net, job.world.share(some)))
            for index, scores in zip(some, confidences, strict=True):
                confident, total = confident + int((scores > settings.threshold).sum()), total + len(scores)
                patches[index] = boxes[index][keep_patches(scores, settings.threshold, settings.cap)]
        share = confident / max(total, 1)
        job.reporter.say(f"  {share:.1%} of {total} patches are above the threshold")
        if not confident:
            job.reporter.say(
                "  so ClassNet learns from whole pictures only; more --epochs make FilterNet surer, or lower "
                "--filtering.threshold"
            )
        return Patches(boxes=Ragged.of(patches), share_above=share)

    def unfiltered() -> Patches:
        return Patches(boxes=Ragged.of([candidate[: settings.cap] for candidate in boxes]), share_above=None)

    inputs = [candidates, *(trained for trained, _ in filternets)]
    choose = compute if settings.enabled else unfiltered
    return job.step("filtering", Patches, [dataclasses.asdict(settings), job.config.size], inputs, choose)


def _confidences(job: Job, net: MapNet, index: int, boxes: Int[ndarray, "n 4"]) -> ndarray:
    sample, size = job.samples[index], job.config.size
    if job.config.filtering.scorer == "crop":
        return crop_scores(net, job.hardware.pictures.read(sample.path), boxes, sample.label, size)
    picture = to_tensor(square(sample.path, None, MAP_SCALE * size, job.hardware.pictures))
    return roi_scores(net, picture, job.sizes[index], boxes, sample.label)


@torch.no_grad()
def crop_scores(
    net: MapNet, picture: Picture, boxes: Int[ndarray, "n 4"], label: int, size: int
) -> Float32[ndarray, "n"]:
    """Softmax at ``label`` of each patch, cut out, resized to ``size`` pixels and forwarded by itself."""
    device = next(net.parameters()).device
    scores = []
    for start in range(0, len(boxes), CROPS_AT_ONCE):
        crops = crop_boxes(boxes[start : start + CROPS_AT_ONCE], picture.size, 0.0)
        pixels = torch.from_numpy(cut_squares([picture] * len(crops), crops, size)).to(device)
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
    """Softmax at ``label`` of each patch, pooled from one forward pass of the whole picture, squashed to ``square``.

    ``boxes`` are in pixels of the original of ``size`` (width, height).
    """
    device = next(net.parameters()).device
    scaled = boxes * np.tile(np.array(square.shape[1:]) / size, 2)
    return roi_confidences(net, normalize(square[None].to(device), net)[0], scaled, label).cpu().numpy()
