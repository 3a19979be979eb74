"""Localisation: IoU with the true boxes, MaxBoxAccV2 of the maps, and both for a box in the centre of the picture.

The IoU is that of the predicted boxes. MaxBoxAccV2 (Choe et al., "Evaluating Weakly Supervised Object Localization
Methods Right", CVPR 2020) evaluates the saliency maps, with the threshold that is best ON THE TEST PICTURES. It serves
to compare with other papers. True boxes serve evaluation only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Real
from numpy import ndarray
from PIL import Image
from scipy import ndimage

from wingbar import boxes as geometry
from wingbar.boxes import Box
from wingbar.evaluation.bootstrap import Estimate, mean_interval, paired_difference

IOU_THRESHOLDS = (0.3, 0.5, 0.7)
CAM_THRESHOLDS = np.arange(100) / 100
MAP_SIDE = 112
"""Maps are evaluated at this long side, in pixels: a CAM holds no finer detail, and it takes about 10 ms."""


def paired_iou(boxes: Real[ndarray, "n 4"], truth: Real[ndarray, "n 4"]) -> Float[ndarray, "n"]:
    """IoU of each box with the true box of the same picture."""
    corners = np.concatenate([np.maximum(boxes[:, :2], truth[:, :2]), np.minimum(boxes[:, 2:], truth[:, 2:])], 1)
    inter = geometry.area(corners).astype(np.float64)
    union = geometry.area(boxes) + geometry.area(truth) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


@dataclass(frozen=True)
class MaxBoxAccV2:
    """Box accuracy at the best CAM threshold, for each IoU; keys are ``"0.3"``, ``"0.5"``, ``"0.7"``."""

    per_iou: dict[str, float]
    mean: float
    """The figure called MaxBoxAccV2."""
    best_threshold: dict[str, float]
    """The (lowest) CAM threshold, as a share of the map's maximum, at which the accuracy is reached."""


class MaxBoxAcc:
    """Gathers MaxBoxAccV2 one saliency map at a time, so that the maps need not be held together.

    >>> import numpy as np
    >>> from wingbar.evaluation.localization import MaxBoxAcc
    >>> meter = MaxBoxAcc()
    >>> meter.add(np.eye(2, dtype=np.float32), size=(20, 20), truth=(0, 0, 20, 20))
    >>> meter.result().mean
    1.0
    """

    def __init__(self) -> None:
        self._hits = np.zeros((len(IOU_THRESHOLDS), len(CAM_THRESHOLDS)), dtype=np.int64)
        self._pictures = 0

    def add(self, saliency: Float[ndarray, "h w"], size: tuple[int, int], truth: Box) -> None:
        """Add one map in [0, 1] that spans a picture of ``size`` (width, height), at any resolution.

        ``truth`` is in pixels of the picture. Raises ValueError for a map outside [0, 1].
        """
        self._count(best_ious(saliency, size, truth))

    def _count(self, best: Float[ndarray, "thresholds"]) -> None:
        self._hits += best >= np.array(IOU_THRESHOLDS)[:, None]
        self._pictures += 1

    def result(self) -> MaxBoxAccV2:
        """The figures of all maps added so far. Raises ValueError when there is none."""
        if not self._pictures:
            raise ValueError("no saliency map to evaluate")
        accuracy = self._hits / self._pictures
        names = [str(threshold) for threshold in IOU_THRESHOLDS]
        return MaxBoxAccV2(
            per_iou=dict(zip(names, accuracy.max(1).tolist(), strict=True)),
            mean=float(accuracy.max(1).mean()),
            best_threshold=dict(zip(names, CAM_THRESHOLDS[accuracy.argmax(1)].tolist(), strict=True)),
        )


def best_ious(saliency: Float[ndarray, "h w"], size: tuple[int, int], truth: Box) -> Float[ndarray, "thresholds"]:
    """The best IoU with the true box among the boxes of each CAM threshold; 0 where there is no box.

    One box surrounds every 8-connected region in which the map is above threshold times its maximum
    (Choe et al., section 4.1). The original code works on maps of 224 x 224 in 256 grey levels, counts
    the last pixel of a box twice and adds boxes around holes; here the map keeps its aspect and its
    values, is brought to a long side of 112, and boxes are half-open and around regions only.
    """
    return _cam_boxes(saliency).best_ious(size, truth)


@dataclass(frozen=True)
class _CamBoxes:
    """The boxes of all CAM thresholds of one map, in pixels of the map of ``size`` (width, height)."""

    boxes: Int[ndarray, "n 4"]
    levels: Int[ndarray, "n"]
    size: tuple[int, int]

    def best_ious(self, size: tuple[int, int], truth: Box) -> Float[ndarray, "thresholds"]:
        # Both kinds of boxes go to a grid that picture and map pixels divide: IoUs then are exact.
        on_grid = self.boxes * np.array([*size, *size], dtype=np.int64)
        truth_on_grid = np.array([truth], dtype=np.int64) * np.array([*self.size, *self.size])
        best = np.zeros(len(CAM_THRESHOLDS))
        np.maximum.at(best, self.levels, geometry.iou(on_grid, truth_on_grid)[:, 0])
        return best


def _cam_boxes(saliency: Float[ndarray, "h w"]) -> _CamBoxes:
    if not (saliency.min() >= 0 and saliency.max() <= 1):
        raise ValueError(f"saliency reaches from {saliency.min()} to {saliency.max()}; it must stay in [0, 1]")
    reduced = _reduced(saliency)
    per_level = [_region_boxes(reduced > level * reduced.max()) for level in CAM_THRESHOLDS]
    levels = np.repeat(np.arange(len(per_level)), [len(level) for level in per_level])
    return _CamBoxes(np.concatenate(per_level), levels, (reduced.shape[1], reduced.shape[0]))


def _region_boxes(mask: ndarray) -> Int[ndarray, "n 4"]:
    regions, _ = ndimage.label(mask, np.ones((3, 3), dtype=int))
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(regions)]
    return np.array(boxes, dtype=np.int64).reshape(-1, 4)


def _reduced(saliency: Float[ndarray, "h w"]) -> Float[ndarray, "_ _"]:
    height, width = saliency.shape
    scale = MAP_SIDE / max(height, width)
    if scale >= 1:
        return saliency
    to = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(Image.fromarray(saliency.astype(np.float32)).resize(to, Image.Resampling.BOX))


def centre_boxes(sizes: Sequence[tuple[int, int]], share: float) -> Int[ndarray, "n 4"]:
    """A box in the middle of each picture of ``sizes`` (width, height), with ``share`` of each of its sides."""
    whole = np.array(sizes, dtype=np.int64).reshape(-1, 2)
    sides = np.clip(np.rint(whole * share).astype(np.int64), 1, whole)
    corner = (whole - sides) // 2
    return np.concatenate([corner, corner + sides], axis=1).astype(np.int32)


def best_centre_share(sizes: Sequence[tuple[int, int]], truth: Int[ndarray, "n 4"], threshold: float = 0.5) -> float:
    """The share, in hundredths, whose centre boxes reach the threshold in most pictures.

    To be fitted on TRAINING boxes, which the recogniser never sees: the rival is as strong as it can be.
    Equally good shares: the one with the larger mean IoU, then the smaller. Raises ValueError without boxes.
    """
    if not len(truth):
        raise ValueError("no boxes to fit the centre box on")

    def worth(share: float) -> tuple[float, float]:
        ious = paired_iou(centre_boxes(sizes, share), truth)
        return float((ious >= threshold).mean()), float(ious.mean())

    return max((hundredths / 100 for hundredths in range(1, 101)), key=worth)


def centre_saliency(size: tuple[int, int] = (100, 100)) -> Float[ndarray, "h w"]:
    """A Gaussian in the middle of ``size`` (width, height), a quarter of each side wide, 1 at its highest.

    Its regions are ellipses of the picture's aspect, and the CAM thresholds reach from 7 % of each side
    to the whole, so MaxBoxAccV2 finds the best centre box. One map serves pictures of every size.
    """
    x, y = (((np.arange(side) + 0.5) / side - 0.5) * 4 for side in size)
    gaussian = np.exp(-(x[None] ** 2 + y[:, None] ** 2) / 2)
    return (gaussian / gaussian.max()).astype(np.float32)


def centre_max_box_acc(sizes: Sequence[tuple[int, int]], truth: Int[ndarray, "n 4"]) -> MaxBoxAccV2:
    """MaxBoxAccV2 of `centre_saliency` in every picture."""
    meter, centre = MaxBoxAcc(), _cam_boxes(centre_saliency())
    for size, (x1, y1, x2, y2) in zip(sizes, truth.tolist(), strict=True):
        meter._count(centre.best_ious(size, (x1, y1, x2, y2)))
    return meter.result()


@dataclass(frozen=True)
class LocalizationRow:
    """The figures of one kind of box; shares in [0, 1]."""

    share: dict[str, float]
    """Share of pictures with at least this IoU; keys ``"0.3"``, ``"0.5"``, ``"0.7"``."""
    share_interval: tuple[float, float]
    """Bootstrap 95 % interval of the share at 0.5."""
    mean_iou: float
    max_box_acc: MaxBoxAccV2 | None
    """Of the saliency maps, which the box need not be cut from; None without maps."""


@dataclass(frozen=True)
class LocalizationReport:
    """The figures of our boxes, and of boxes in the centre of the same pictures."""

    pictures: int
    ours: LocalizationRow
    centre: LocalizationRow
    centre_share: float
    gain: Estimate
    """Share at IoU 0.5: ours minus the centre's, paired, with its bootstrap 95 % interval."""

    def to_dict(self) -> dict[str, Any]:
        """The record as dictionaries, lists, strings and numbers."""
        return asdict(self)


def localize(
    boxes: Int[ndarray, "n 4"],
    truth: Int[ndarray, "n 4"],
    sizes: Sequence[tuple[int, int]],
    *,
    centre_share: float,
    max_box_acc: MaxBoxAccV2 | None = None,
    seed: int = 0,
) -> LocalizationReport:
    """All figures of one box a picture, in pixels of pictures of ``sizes`` (width, height).

    ``centre_share`` comes from `best_centre_share` on training boxes, ``max_box_acc`` from a `MaxBoxAcc`
    that has seen the saliency maps. Raises ValueError without pictures.
    """
    centre = centre_boxes(sizes, centre_share)
    of_centre = None if max_box_acc is None else centre_max_box_acc(sizes, truth)
    return LocalizationReport(
        pictures=len(truth),
        ours=_row(boxes, truth, max_box_acc, seed),
        centre=_row(centre, truth, of_centre, seed),
        centre_share=centre_share,
        gain=paired_difference(paired_iou(centre, truth) >= 0.5, paired_iou(boxes, truth) >= 0.5, seed),
    )


def _row(
    boxes: Int[ndarray, "n 4"], truth: Int[ndarray, "n 4"], max_box_acc: MaxBoxAccV2 | None, seed: int
) -> LocalizationRow:
    ious = paired_iou(boxes, truth)
    interval = mean_interval(ious >= 0.5, seed)
    return LocalizationRow(
        share={str(threshold): float((ious >= threshold).mean()) for threshold in IOU_THRESHOLDS},
        share_interval=(interval.low, interval.high),
        mean_iou=float(ious.mean()),
        max_box_acc=max_box_acc,
    )
