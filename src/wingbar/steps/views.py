"""The kinds of views that nets learn from, picture by picture: whole, patches, object, parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from wingbar.attention import crop_boxes
from wingbar.learning.views import View
from wingbar.steps.job import Job, Kind
from wingbar.store import Result, unpack


def whole_pictures(job: Job) -> dict[str, Kind]:
    """The kind ``picture``: each picture whole."""
    return {"picture": [[(None, -1)] for _ in job.samples]}


def patch_views(job: Job, patches: Result) -> Kind:
    """The kind ``patch``: what is kept of each picture's candidates."""
    boxes = zip(unpack(patches.arrays), job.sizes, strict=True)
    return [[(box, -1) for box in crop_boxes(of, size, 0.0)] for of, size in boxes]


def object_views(job: Job, objects: Int[ndarray, "n 4"]) -> Kind:
    """The kind ``object``: each picture's object, with context."""
    margin = job.config.localization.margin
    boxes = zip(objects, job.sizes, strict=True)
    return [[(box, -1) for box in crop_boxes(of[None], size, margin)] for of, size in boxes]


def part_views(job: Job, parts: Result, aligned: Result) -> Kind:
    """The kind ``part``: each picture's part crops, with the head that judges them."""
    own_head = job.config.parts.heads == "per-cluster"
    clusters = np.split(aligned.arrays["clusters"], parts.arrays["offsets"][1:-1])
    return [
        [(box, int(c) if own_head else -1) for box, c in zip(crop_boxes(of, size, 0.0), own, strict=True)]
        for of, own, size in zip(unpack(parts.arrays), clusters, job.sizes, strict=True)
    ]


def part_heads(job: Job) -> int:
    """Heads of PartNet."""
    return job.config.parts.clusters if job.config.parts.heads == "per-cluster" else 1


def views_of(job: Job, kind: Kind, indices: Sequence[int] | Int[ndarray, "n"]) -> list[View]:
    """The views of one kind of the pictures ``indices``, one after the other."""
    return [View(job.samples[i].path, job.samples[i].label, *view) for i in indices for view in kind[i]]
