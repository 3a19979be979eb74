"""The step of the joint head, of the second head of whole pictures, and of where the classes lie.

All of it comes from one reading of training pictures, by the net that was trained and as a prediction will read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float32
from numpy import ndarray

from wingbar.opam.joint import SHRINKAGE, JointHead, fit_joint, fit_second
from wingbar.opam.strangers import scatters, to_arrays
from wingbar.steps.job import Job
from wingbar.steps.marks import Marks
from wingbar.steps.nets import TrainedNet
from wingbar.steps.reading import features_by_field_marks, features_of
from wingbar.steps.readout import Readout
from wingbar.steps.store import StepResult
from wingbar.steps.strangers import some_of_each


@dataclass(frozen=True, kw_only=True, eq=False)
class Joint(StepResult):
    """The joint head, the second head of whole pictures, and where the classes lie."""

    weight: Float32[ndarray, "views classes channels"]
    bias: Float32[ndarray, "classes"]
    second_weight: Float32[ndarray, "classes channels"]
    second_bias: Float32[ndarray, "classes"]
    scatters: Mapping[str, ndarray]
    """How the classes lie in each view's features: `opam.strangers.to_arrays`."""

    @property
    def head(self) -> JointHead:
        """What tells classes by all views' features."""
        return JointHead(self.weight, self.bias)

    @property
    def second(self) -> dict[str, ndarray]:
        """The second head, as a model keeps it."""
        return {"weight": self.second_weight, "bias": self.second_bias}


def joint(job: Job, trained: TrainedNet, readout: Readout, marks: Marks) -> Joint:
    """Both heads of this net, from some training pictures of each class."""

    def compute() -> Joint:
        read = features_by_field_marks(job, trained, readout, marks)()
        fitted = some_of_each(job.labels, job.training)
        features, labels, classes = features_of(job, read, fitted), job.labels[fitted], len(job.classes)
        head = job.world.first(lambda: fit_joint(features.of_views, labels, classes))
        second = job.world.first(lambda: fit_second(features.logits, features.of_views[:, :1], labels))
        arrays = job.world.first(lambda: to_arrays(scatters(features.of_streams, labels, classes)))
        return Joint(
            weight=head.weight, bias=head.bias, second_weight=second.weight[0], second_bias=second.bias, scatters=arrays
        )

    settings = [job.config.prediction_size(), job.config.picture_size(), SHRINKAGE]
    return job.step("joint", Joint, settings, [trained, readout, marks], compute)
