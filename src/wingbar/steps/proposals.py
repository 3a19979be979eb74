"""The step of candidates: selective search on training pictures."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from wingbar.images import read_picture
from wingbar.opam.proposals import propose
from wingbar.steps.job import Job
from wingbar.steps.store import Ragged, StepResult


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposals(StepResult):
    """Candidate boxes of training pictures."""

    boxes: Ragged
    """int32 [candidates, 4] a picture, best first, in pixels of the original."""


def proposals(job: Job, only: Int[ndarray, "searched"] | None = None) -> Proposals:
    """Candidate boxes of every training picture, which a refit takes over; or of ``only`` these, and none of others."""
    settings = job.config.proposals

    def compute() -> Proposals:
        def one(index: int) -> ndarray:
            return propose(read_picture(job.samples[index].path, short_side=settings.side), settings)

        searched = list(range(len(job.samples))) if only is None else only.tolist()
        boxes = [np.zeros((0, 4), np.int32)] * len(job.samples)
        for index, candidates in zip(searched, job.world.map(one, searched, job.reporter.watched), strict=True):
            boxes[index] = candidates
        return Proposals(boxes=Ragged.of(boxes))

    at = job.before_refit() if only is None else job
    chosen = None if only is None else only.tolist()
    return at.step("proposals", Proposals, [dataclasses.asdict(settings), chosen], [], compute)
