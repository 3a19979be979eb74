"""The step of parts: the telling parts of every training picture."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from numpy import ndarray

from wingbar.boxes import as_box
from wingbar.opam.parts import choose_parts
from wingbar.steps.box_regression import ObjectBoxes
from wingbar.steps.job import Job
from wingbar.steps.proposals import Proposals
from wingbar.steps.saliency import Saliency
from wingbar.steps.store import Ragged, StepResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts(StepResult):
    """The telling parts of every training picture."""

    boxes: Ragged
    """int32 [parts, 4] a picture, in pixels of the original."""


def parts(job: Job, candidates: Proposals, objects: ObjectBoxes, classnet_output: Saliency) -> Parts:
    """The telling parts of every training picture."""
    config = job.config

    def one(index: int) -> ndarray:
        target, size = as_box(objects.boxes[index]), job.sizes[index]
        return choose_parts(
            candidates.boxes[index], target, classnet_output.maps[index], size, config.proposals.side, config.parts
        )

    def compute() -> Parts:
        return Parts(boxes=Ragged.of(job.world.map(one, range(len(job.samples)), job.reporter.watched)))

    return job.step("parts", Parts, dataclasses.asdict(config.parts), [candidates, objects, classnet_output], compute)
