"""What a model's nets say of pictures: of the whole pictures alone, by OPAM, or by field marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from wingbar.boxes import Box, as_box, crop_boxes
from wingbar.errors import RunError
from wingbar.images import Picture, cut_squares
from wingbar.model.ahead import NO_BOXES
from wingbar.model.card import Card
from wingbar.model.field_marks import read_field_marks
from wingbar.model.runtime import PictureOutput, Runtime
from wingbar.opam.alignment import Alignment, align_parts, logits_by_cluster
from wingbar.opam.box_regression import box_from_corners
from wingbar.opam.calibration import softmax
from wingbar.opam.joint import JointHead
from wingbar.opam.localization import box_from_map, vote_box
from wingbar.opam.parts import choose_parts
from wingbar.opam.saliency import saliency_maps

Candidates = Sequence[Int32[ndarray, "_ 4"]]
"""Of each picture, in pixels of the original."""


@dataclass(frozen=True, eq=False)
class PartReading:
    """One part of one picture."""

    box: Box
    cluster: int
    scores: Float32[ndarray, "classes"]
    """Probabilities, by this part alone."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What nets say of some pictures, in their order. Boxes are in pixels of the original."""

    objects: list[Box]
    streams: dict[str, Float32[ndarray, "pictures classes"]]
    """Probabilities, by stream: picture, object, parts, joint."""
    evidence: Float32[ndarray, "pictures classes h w"]
    """Of the whole pictures, in logits."""
    maps: Float32[ndarray, "pictures h w"]
    """Saliency, in [0, 1]."""
    features: dict[str, Float32[ndarray, "pictures channels"]]
    """What strangers are told by, by stream."""
    parts: list[list[PartReading]] = field(default_factory=list)
    """Of each picture; empty where no picture has any."""


def by_whole_pictures(runtime: Runtime, card: Card, pictures: Sequence[Picture]) -> Reading:
    """The stream ``picture`` alone, from one pass of each picture; boxes are the first, rougher ones."""
    output = _whole(runtime, pictures, card.picture_size)
    temperature = np.float32(card.temperatures.get("picture", 1.0))
    maps = saliency_maps(output.evidence, output.logits)
    return Reading(
        _object_boxes(card, pictures, output, maps, [NO_BOXES] * len(pictures)),
        {"picture": softmax(output.logits / temperature)},
        output.evidence / temperature,
        maps,
        {"picture": output.features},
    )


def by_opam(
    runtime: Runtime,
    card: Card,
    pictures: Sequence[Picture],
    candidates: Candidates,
    alignment: Alignment | None,
) -> Reading:
    """All streams of OPAM: whole pictures, objects and parts, each by its net; of a plain model the first alone.

    ``candidates`` are the boxes that parts are chosen from, and that boxes of objects are voted by.
    """
    output = _whole(runtime, pictures, card.eval_size)
    maps = saliency_maps(output.evidence, output.logits)
    objects = _object_boxes(card, pictures, output, maps, candidates)
    streams, parts = {"picture": softmax(output.logits)}, []
    if "object" in card.fusion_weights:
        crops = [crop_boxes([box], p.size, card.margin)[0] for box, p in zip(objects, pictures, strict=True)]
        streams["object"] = softmax(runtime.crops("object", cut_squares(pictures, crops, card.eval_size)))
    if alignment is not None:
        parts = _aligned_parts(runtime, card, pictures, objects, output, maps, candidates, alignment)
        streams["parts"] = np.stack([np.stack([part.scores for part in some]).mean(0) for some in parts])
    voted = [vote_box(box, voters) for box, voters in zip(objects, candidates, strict=True)]
    _finite(*streams.values())
    return Reading(voted, streams, output.evidence, maps, {"picture": output.features}, parts)


def by_field_marks(runtime: Runtime, card: Card, pictures: Sequence[Picture], joint: JointHead) -> Reading:
    """The streams of field marks: one net on whole pictures, on objects and on their marks, and the joint head."""
    output = read_field_marks(runtime, pictures, card.picture_size, card.eval_size, card.mark_sides)
    logits = output.streams(joint)
    _finite(output.evidence, output.mark_logits, *logits.values())
    scores = softmax(output.mark_logits / card.temperatures["parts"])
    return Reading(
        output.objects,
        {name: softmax(of_stream / card.temperatures[name]) for name, of_stream in logits.items()},
        (output.evidence / card.temperatures["picture"]).astype(np.float32),
        saliency_maps(output.evidence, logits["picture"]),
        output.features,
        [
            [PartReading(box, mark, scores[i, mark]) for mark, box in enumerate(boxes)]
            for i, boxes in enumerate(output.marks)
        ],
    )


def _object_boxes(
    card: Card,
    pictures: Sequence[Picture],
    output: PictureOutput,
    maps: Float32[ndarray, "pictures h w"],
    candidates: Candidates,
) -> list[Box]:
    """Each object's box as whole pictures tell it, before the candidates vote: what nets are shown."""
    sizes = [picture.size for picture in pictures]
    if card.has_box_regression or card.has_marks:
        return [box_from_corners(corners, size) for corners, size in zip(output.corners, sizes, strict=True)]
    return [
        box_from_map(saliency_map, size, card.proposals.side, card.rule, boxes)
        for saliency_map, size, boxes in zip(maps, sizes, candidates, strict=True)
    ]


def _aligned_parts(
    runtime: Runtime,
    card: Card,
    pictures: Sequence[Picture],
    objects: Sequence[Box],
    output: PictureOutput,
    maps: Float32[ndarray, "pictures h w"],
    candidates: Candidates,
    alignment: Alignment,
) -> list[list[PartReading]]:
    """OPAM's parts of each picture: chosen among its candidates, aligned by clusters of neurons, named by PartNet."""
    chosen = [
        choose_parts(boxes, target, saliency_map, picture.size, card.proposals.side, card.parts)
        for boxes, picture, target, saliency_map in zip(candidates, pictures, objects, maps, strict=True)
    ]
    clusters = [
        align_parts(neurons, boxes, picture.size, alignment, card.alignment)
        for neurons, boxes, picture in zip(output.neurons, chosen, pictures, strict=True)
    ]
    owners = [picture for picture, boxes in zip(pictures, chosen, strict=True) for _ in boxes]
    crops = [crop for boxes, p in zip(chosen, pictures, strict=True) for crop in crop_boxes(boxes, p.size, 0.0)]
    logits = runtime.crops("parts", cut_squares(owners, crops, card.eval_size))
    scores = iter(softmax(logits_by_cluster(logits, np.concatenate(clusters), len(card.classes))))
    return [
        [PartReading(as_box(box), int(cluster), next(scores)) for box, cluster in zip(boxes, assigned, strict=True)]
        for boxes, assigned in zip(chosen, clusters, strict=True)
    ]


def _whole(runtime: Runtime, pictures: Sequence[Picture], side: int) -> PictureOutput:
    output = runtime.picture(cut_squares(pictures, [None] * len(pictures), side))
    _finite(*output)
    return output


def _finite(*answers: ndarray) -> None:
    if not all(np.isfinite(answer).all() for answer in answers):
        raise RunError("the model answers with infinite numbers or none: it is damaged; copy it again or train again.")
