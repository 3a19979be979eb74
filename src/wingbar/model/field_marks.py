"""The passes of field marks: one net is shown the whole picture, the object, and each of its marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from scipy.special import log_softmax

from wingbar.boxes import Box, crop_boxes
from wingbar.images import Picture, cut_squares
from wingbar.model.runtime import Runtime
from wingbar.opam.box_regression import box_from_corners
from wingbar.opam.corners import box_in_frame, frame_around
from wingbar.opam.joint import JointHead
from wingbar.opam.maps import unit
from wingbar.opam.marks import mark_boxes


@dataclass(frozen=True, eq=False)
class FieldMarksOutput:
    """What one net says of the views of some pictures."""

    objects: list[Box]
    marks: list[list[Box]]
    """Of each picture, in the order of the marks' numbers."""
    evidence: Float32[ndarray, "pictures classes h w"]
    """Of the whole pictures."""
    logits: dict[str, Float32[ndarray, "pictures classes"]]
    """Of the net's own head, by stream: picture, object, parts."""
    mark_logits: Float32[ndarray, "pictures marks classes"]
    features: dict[str, Float32[ndarray, "pictures channels"]]
    """Of the object, and of the parts: their mean direction."""
    pooled: Float32[ndarray, "pictures views channels"]
    """What the net's head sees of the whole picture, the object, and each mark."""

    def streams(self, head: JointHead) -> dict[str, Float32[ndarray, "pictures classes"]]:
        """The logits of all streams, in the order of `MARKS_STREAMS`."""
        return {**self.logits, "joint": head.logits(self.pooled)}


def read_field_marks(
    runtime: Runtime, pictures: Sequence[Picture], picture_size: int, side: int, mark_sides: Sequence[float]
) -> FieldMarksOutput:
    """Object, marks and logits of some pictures, by three batches: pictures, crops with context, objects and marks.

    ``picture_size`` and ``side`` are those of the squares of whole pictures and of crops, in pixels; ``mark_sides`` are
    those of the marks, as shares of the root of the object's area.
    """
    sizes = [picture.size for picture in pictures]
    whole = runtime.picture(cut_squares(pictures, [None] * len(pictures), picture_size))
    rough = [box_from_corners(row, size) for row, size in zip(whole.corners, sizes, strict=True)]
    frames = [frame_around(box, size) for box, size in zip(rough, sizes, strict=True)]
    crops = runtime.views(cut_squares(pictures, frames, side))
    objects = [box_in_frame(*one) for one in zip(crops.corners, frames, sizes, strict=True)]
    tight = [crop_boxes([box], size, 0.0)[0] for box, size in zip(objects, sizes, strict=True)]
    marks = [mark_boxes(*one, mark_sides) for one in zip(objects, crops.marks, frames, sizes, strict=True)]
    owners = [picture for picture, boxes in zip(pictures, marks, strict=True) for _ in boxes]
    shown = [crop for boxes, size in zip(marks, sizes, strict=True) for crop in crop_boxes(boxes, size, 0.0)]
    views = runtime.views(cut_squares([*pictures, *owners], [*tight, *shown], side))
    object_logits, mark_logits = np.split(views.logits, [len(pictures)])
    mark_logits = mark_logits.reshape(len(pictures), -1, whole.logits.shape[1])
    object_features, mark_features = np.split(views.features, [len(pictures)])
    each_mark = mark_features.reshape(len(pictures), -1, views.features.shape[1])
    pooled = np.concatenate([whole.features[:, None], object_features[:, None], each_mark], 1)
    mark_features = unit(mark_features).reshape(len(pictures), -1, views.features.shape[1]).mean(1)
    parts = log_softmax(mark_logits, axis=-1).mean(1).astype(np.float32)
    logits = {"picture": whole.logits, "object": object_logits, "parts": parts}
    features = {"object": object_features, "parts": mark_features}
    return FieldMarksOutput(objects, marks, whole.evidence, logits, mark_logits, features, pooled)
