"""The kinds of views that nets learn from, picture by picture: whole, patches, object, parts."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Int
from numpy import ndarray

from wingbar.boxes import Box, crop_boxes
from wingbar.learning.views import View
from wingbar.opam.alignment import AlignmentSettings
from wingbar.steps.job import Job

Kind = list[list[tuple[Box | None, int]]]
"""For each picture the views of one kind: box (None: the whole) and the cluster whose head scores it (-1: all)."""


def whole_pictures(job: Job) -> dict[str, Kind]:
    """The kind ``picture``: each picture whole."""
    return {"picture": [[(None, -1)] for _ in job.samples]}


def patch_views(job: Job, patches: Sequence[Int[ndarray, "_ 4"]]) -> Kind:
    """The kind ``patch``: the filtered candidates of each picture."""
    return [[(box, -1) for box in crop_boxes(boxes, size, 0.0)] for boxes, size in zip(patches, job.sizes, strict=True)]


def object_views(job: Job, objects: Int[ndarray, "n 4"]) -> Kind:
    """The kind ``object``: each picture's object, with context."""
    margin = job.config.localization.margin
    return [
        [(box, -1) for box in crop_boxes(corners[None], size, margin)]
        for corners, size in zip(objects, job.sizes, strict=True)
    ]


def part_views(
    job: Job, parts: Sequence[Int[ndarray, "_ 4"]], clusters: Sequence[Int[ndarray, "_"]], settings: AlignmentSettings
) -> Kind:
    """The kind ``part``: the crops of each picture's parts, with the cluster whose head scores each."""
    has_head = settings.heads == "per-cluster"
    return [
        [
            (box, int(cluster) if has_head else -1)
            for box, cluster in zip(crop_boxes(boxes, size, 0.0), assigned, strict=True)
        ]
        for boxes, assigned, size in zip(parts, clusters, job.sizes, strict=True)
    ]


def mark_views(job: Job, marks: Int[ndarray, "n marks 4"]) -> Kind:
    """The kind ``mark``: each picture's field marks."""
    return [[(box, -1) for box in crop_boxes(boxes, size, 0.0)] for boxes, size in zip(marks, job.sizes, strict=True)]


def views_of(job: Job, kind: Kind, indices: Sequence[int] | Int[ndarray, "n"]) -> list[View]:
    """The views of one kind of the pictures ``indices``, one after the other."""
    return [View(job.samples[i].path, job.samples[i].label, *view) for i in indices for view in kind[i]]
