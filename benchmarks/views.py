"""What each view of a picture is worth to frozen features, without any training: the quick way to try a piece.

    python benchmarks/views.py DATA OUT --classes 20 --size 160
    python benchmarks/views.py DATA OUT --net tf_efficientnet_lite2 --size 256

A ridge on the pooled features of the starting weights names each TRAINING picture from each view, every picture by a
fit that has not seen it; scores of several views are added. Rows below the line use true boxes and keypoints: they are
the ceiling, and nothing is chosen by them. Boxes and marks are those of the steps of `method = "field-marks"`, whose
results lie in OUT. Who changes a step runs this again; only that step and later ones are computed anew. The marks were
chosen on most of these pictures, so their rows are a little too good. The test split is not read.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from wingbar import steps, training
from wingbar._system.distributed import ALONE
from wingbar.boxes import Box, crop_boxes
from wingbar.config import Config
from wingbar.data import load
from wingbar.data.layouts.annotations import with_boxes
from wingbar.data.sample import Sample
from wingbar.evaluation import best_centre_share, mean_interval
from wingbar.evaluation.localization import centre_boxes, paired_iou
from wingbar.evaluation.tables import percent_interval, render
from wingbar.learning.probe import features
from wingbar.learning.views import View
from wingbar.opam.corners import fit_ridge
from wingbar.steps.discriminant import guide_net
from wingbar.steps.reporting import Reporter
from wingbar.steps.store import Store

HEAD = {"beak", "crown", "forehead", "left eye", "right eye", "nape", "throat"}
STRENGTH = 0.3
"""Of the ridge, in units of the features' whole variance."""


def scores(job: steps.Job, boxes: list[Box | None]) -> Float[ndarray, "n classes"]:
    """What a ridge says of each picture's view, by a fit without the picture."""
    views = [View(sample.path, sample.label, box) for sample, box in zip(job.samples, boxes, strict=True)]
    pooled = features(guide_net(job, None), views, job.config.size, job.hardware).astype(np.float64)
    standard = (pooled - pooled.mean(0)) / (pooled.std(0) + 1e-6)
    targets = np.eye(len(job.classes))[job.labels]
    return fit_ridge(standard, targets, np.arange(len(views)), strength=STRENGTH).out_of_fold


def cropped(job: steps.Job, boxes: Int[ndarray, "n 4"]) -> list[Box | None]:
    """Boxes as nets are shown them."""
    return [crop_boxes(box[None], size, 0.0)[0] for box, size in zip(boxes, job.sizes, strict=True)]


def head_square(sample: Sample, size: tuple[int, int]) -> Box | None:
    """A square around the visible points of a head; the whole picture where none is visible."""
    points = np.array([(point.x, point.y) for point in sample.keypoints if point.name in HEAD]).reshape(-1, 2)
    if not len(points):
        return None
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2, max(0.75 * float((high - low).max()), 0.08 * min(size))
    corners = np.array([*(middle - half), *(middle + half)]).round().astype(np.int64)
    return crop_boxes(corners[None], size, 0.0)[0]


def rows_of(
    views: dict[str, Float[ndarray, "n classes"]], groups: list[tuple[str, ...]], labels: Int[ndarray, "n"]
) -> list[list[str]]:
    """Top-1 of groups of views, with intervals over pictures."""

    def right(group: tuple[str, ...]) -> Bool[ndarray, "n"]:
        return sum(views[name] for name in group).argmax(1) == labels

    return [[" + ".join(group), percent_interval(*mean_interval(right(group)))] for group in groups]


def box_rows(job: steps.Job, found: Int[ndarray, "n 4"], true: Int[ndarray, "n 4"]) -> list[list[str]]:
    """How well the boxes found overlap the true ones, beside the best box of one size in the centre."""
    share = best_centre_share(job.sizes, true)
    rows = {"ours": found, f"centre, {share:.0%} of the sides": centre_boxes(job.sizes, share)}
    overlaps = {name: paired_iou(boxes, true) for name, boxes in rows.items()}
    return [
        [name, *(percent_interval(*mean_interval(overlap >= least)) for least in (0.5, 0.7))]
        for name, overlap in overlaps.items()
    ]


def main() -> None:
    """Compute what is missing, probe, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--classes", type=int, default=0, help="the first so many classes; 0: all")
    parser.add_argument("--net", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=160)
    options = parser.parse_args()
    dataset = load(options.data)
    if options.classes:
        dataset = dataset.first_classes(options.classes)
    config = Config(method="field-marks", net=options.net, size=options.size, workers=0)
    reporter = Reporter(options.out, quiet=False)
    job = training.opened_job(dataset, config, Store(options.out, None, reporter.say, ALONE), reporter)
    candidates = steps.proposals(job, steps.taught_pictures(job))
    objects = steps.corners(job, steps.discriminant(job, candidates, None), candidates, None)
    marks = steps.marks(job, objects, None)
    views = {"picture": scores(job, [None] * len(job.samples)), "object": scores(job, cropped(job, objects.boxes))}
    names = [f"mark {number + 1}" for number in range(len(marks.sides))]
    views |= {name: scores(job, cropped(job, marks.boxes[:, k])) for k, name in enumerate(names)}
    groups = [group for count in range(1, len(views) + 1) for group in combinations(views, count)]
    table = rows_of(views, groups, job.labels)
    true = with_boxes(dataset).split("train")
    known = {sample.key: sample for sample in true if sample.box is not None}
    if all(sample.key in known for sample in job.samples):
        samples = [known[sample.key] for sample in job.samples]
        boxes = np.array([sample.box for sample in samples]).round().astype(np.int64)
        heads = [head_square(sample, size) for sample, size in zip(samples, job.sizes, strict=True)]
        views |= {"true object": scores(job, cropped(job, boxes)), "true head": scores(job, heads)}
        truth = [("true object",), ("true head",), ("true object", "true head")]
        table += [["-", "-"], *rows_of(views, truth, job.labels)]
        print(render(["object box", "IoU >= 0.5", "IoU >= 0.7"], box_rows(job, objects.boxes, boxes)), end="\n\n")
    print(render(["views", f"top-1 of {len(job.samples)} training pictures, out of fold"], table))


if __name__ == "__main__":
    main()
