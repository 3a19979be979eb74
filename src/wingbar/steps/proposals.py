"""The step of candidates: selective search on every training picture."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

from wingbar.data.sample import Sample
from wingbar.images import read_picture
from wingbar.opam.proposals import propose
from wingbar.steps.job import Job
from wingbar.steps.store import Ragged, StepResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposals(StepResult):
    """Candidate boxes of every training picture."""

    boxes: Ragged
    """int32 [candidates, 4] a picture, best first, in pixels of the original."""
    mean_count: float


def proposals(job: Job) -> Proposals:
    """Candidate boxes of every training picture. A refit takes them over."""
    settings = job.config.proposals

    def compute() -> Proposals:
        def one(sample: Sample) -> ndarray:
            return propose(read_picture(sample.path, short_side=settings.side), settings)

        boxes = job.world.map(one, job.samples, job.reporter.watched)
        return Proposals(boxes=Ragged.of(boxes), mean_count=float(np.mean([len(some) for some in boxes])))

    return job.before_refit().step("proposals", Proposals, dataclasses.asdict(settings), [], compute)
