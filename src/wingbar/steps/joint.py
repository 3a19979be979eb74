"""The step of the joint head, of the second head of whole pictures, and of where the classes lie.

All of it comes from one reading of training pictures, held-out ones too, by the net that was trained and as a
prediction will read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from wingbar.model.card import MARKS_STREAMS
from wingbar.opam.calibration import Fold, held_folds
from wingbar.opam.joint import SHRINKAGE, Known, fit_heads
from wingbar.steps.job import Job
from wingbar.steps.marks import Marks
from wingbar.steps.nets import TrainedNet
from wingbar.steps.reading import features_by_field_marks, some_and_held, some_of_each
from wingbar.steps.readout import Readout
from wingbar.steps.store import StepResult
from wingbar.steps.strangers import Looks, looks_at


@dataclass(frozen=True, kw_only=True, eq=False)
class Joint(StepResult):
    """Both heads, what is said of the validation pictures and what they look like, and where the classes lie."""

    weight: Float32[ndarray, "views classes channels"]
    bias: Float32[ndarray, "classes"]
    second_weight: Float32[ndarray, "classes channels"]
    second_bias: Float32[ndarray, "classes"]
    contraction: Float32[ndarray, "views"]
    """The factor by which classes of learnt pictures were drawn together, in each view."""
    held_logits: Float32[ndarray, "streams validation classes"]
    """What each stream says of the validation pictures, by heads that have not seen them."""
    held_features: Mapping[str, Float32[ndarray, "validation channels"]]
    """What strangers are told by, of the validation pictures."""
    scatters: Mapping[str, ndarray]
    """How the classes lie in each stream's features: `opam.strangers.to_arrays`."""

    @property
    def second(self) -> dict[str, ndarray]:
        """The second head, as a model keeps it."""
        return {"weight": self.second_weight, "bias": self.second_bias}

    def looks(self) -> Looks:
        """What strangers are told by."""
        return Looks(self.scatters, self.held_features)


def joint(job: Job, trained: TrainedNet, readout: Readout, marks: Marks, chosen: Joint | None) -> Joint:
    """Both heads of this net, from some training pictures and some validation pictures of each class.

    A refit has no validation pictures. It draws the classes together as was ``chosen``, by one mean factor for all
    views, since its marks may be others.
    """
    kept = None if chosen is None else float(chosen.contraction.mean())

    def compute() -> Joint:
        read = features_by_field_marks(job, trained, readout, marks)()
        some, learnt, held = some_and_held(job, read)
        of_learnt = Known(learnt.logits["picture"], learnt.of_views, job.labels[some])
        of_held = Known(held.logits["picture"], held.of_views, job.labels[job.validation])
        folds = teaching_folds(of_held.labels, job.held_groups, job.config.seed)
        heads = job.world.first(lambda: fit_heads(of_learnt, of_held, folds, kept))
        looks = looks_at(job, some, learnt, held)
        told = {**held.logits, "picture": held.logits["picture"] + heads.second_held, "joint": heads.joint_held}
        return Joint(
            weight=heads.joint.weight, bias=heads.joint.bias, second_weight=heads.second.weight[0],
            second_bias=heads.second.bias, contraction=heads.contraction,
            held_logits=np.stack([told[name] for name in MARKS_STREAMS]), held_features=looks.held,
            scatters=looks.scatters,
        )  # fmt: skip

    settings = [job.config.prediction_size(), job.config.picture_size(), job.config.seed, SHRINKAGE, kept]
    return job.step("joint", Joint, settings, [trained, readout, marks], compute)


def teaching_folds(labels: Int[ndarray, "n"], groups: Int[ndarray, "n"], seed: int) -> list[Fold]:
    """Folds of held-out pictures with these ``labels`` and ``groups``; of some of each class heads learn."""
    everything = np.arange(len(labels))
    some = np.isin(everything, some_of_each(labels, everything))
    return [(others[some[others]], asked) for others, asked in held_folds(len(labels), seed, groups)]
