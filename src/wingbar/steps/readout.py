"""The step of reading out: what tells objects and marks by the features of the net that was trained.

A net that has learnt has other features than the one that told the training pictures' objects and marks. So their
regressions and detectors are fitted again, on the same pictures, to the same boxes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from torch import nn

from wingbar.boxes import as_box
from wingbar.model.torch_runtime import view_modules_of
from wingbar.nets.inference import for_inference
from wingbar.nets.middle import middle_layer
from wingbar.nets.outputs import MarkHead
from wingbar.nets.saliency_head import MapNet
from wingbar.opam.corners import in_frame
from wingbar.opam.marks import detectors
from wingbar.steps.corners import Objects, view_features, views_in
from wingbar.steps.job import Job
from wingbar.steps.marks import CropMaps, Marks
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.store import StepResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Readout(StepResult):
    """Linear functions of the trained net's two maps."""

    layer: str | None
    """Name of the layer that gives the map halfway."""
    picture_last: Float32[ndarray, "4 channels h w"]
    picture_middle: Float32[ndarray, "4 fewer h2 w2"]
    picture_bias: Float32[ndarray, "4"]
    crop_last: Float32[ndarray, "4 channels h3 w3"]
    crop_middle: Float32[ndarray, "4 fewer h4 w4"]
    crop_bias: Float32[ndarray, "4"]
    mark_last: Float32[ndarray, "marks channels"]
    mark_middle: Float32[ndarray, "marks fewer"]

    def arrays(self) -> dict[str, ndarray]:
        """All of them by name, as a model keeps them."""
        return {field.name: value for field in fields(self) if isinstance(value := getattr(self, field.name), ndarray)}

    def modules(self, net: MapNet) -> dict[str, nn.Module]:
        """What runs the trained net, with what is read off its maps; there is no second head yet (`steps.joint`)."""
        return view_modules_of(net, self.layer, self.arrays(), None)


def readout(job: Job, trained: TrainedNet, objects: Objects, marks: Marks) -> Readout:
    """Regressions of the object's corners and detectors of its marks, on the trained net's features."""
    size, picture_size = job.config.prediction_size(), job.config.picture_size()

    def compute() -> Readout:
        net = for_inference(net_of(job, trained))
        layer = middle_layer(net)
        taught, sides = objects.taught, np.tile(np.array(job.sizes), 2)
        frames = [as_box(objects.frames[i]) for i in taught]
        whole = view_features(job, net, layer, views_in(job, taught, [None] * len(taught)), picture_size)
        picture = whole.head(whole.fit(objects.teachers / sides[taught]))
        crops = view_features(job, net, layer, views_in(job, taught, frames), size)
        targets = [in_frame(as_box(box), frame) for box, frame in zip(objects.teachers, frames, strict=True)]
        crop = crops.head(crops.fit(np.array(targets), robust=True))
        maps = CropMaps.of(job, net, layer, objects, taught, size)
        heads = []
        for number, side in enumerate(marks.sides):
            windows = maps.windows(job, objects, side)
            heads.append(windows.head(detectors(windows.values, marks.places[:, number : number + 1])))
        mark = MarkHead.joined(heads)
        return Readout(
            layer=layer,
            picture_last=picture.last.numpy(),
            picture_middle=picture.middle.numpy(),
            picture_bias=picture.bias.numpy(),
            crop_last=crop.last.numpy(),
            crop_middle=crop.middle.numpy(),
            crop_bias=crop.bias.numpy(),
            mark_last=mark.last.numpy(),
            mark_middle=mark.middle.numpy(),
        )

    settings = [size, picture_size, job.config.seed]
    return job.step("readout", Readout, settings, [trained, objects, marks], compute)
