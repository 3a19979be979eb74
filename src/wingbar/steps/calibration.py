"""What a calibration keeps, and the step that calibrates a plain net, which has no streams: see `opam.calibration`.

Of methods with streams the step that puts them together calibrates too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy import ndarray

from wingbar.learning.views import FixedBatches
from wingbar.model.card import MARKS_STREAMS
from wingbar.model.torch_runtime import TorchRuntime, stream_modules
from wingbar.opam.calibration import fit_calibration, softmax
from wingbar.opam.strangers import votes_of
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.passes import AT_ONCE
from wingbar.steps.store import StepResult
from wingbar.steps.views import views_of, whole_pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrated(StepResult):
    """How the scores of all streams together are calibrated."""

    calibration: float
    """Temperature of these scores."""
    held_out: Float32[ndarray, "held _"]
    """Calibrated scores of the validation pictures (`opam.calibration.Calibration`)."""
    labels: Int[ndarray, "validation"]

    @property
    def known_labels(self) -> Int[ndarray, "held"]:
        """The labels of the pictures in ``held_out``."""
        return self.labels[: len(self.held_out)]

    @property
    def of_true_classes(self) -> Float[ndarray, "held"]:
        """The calibrated score of each validation picture's true class."""
        return self.held_out[np.arange(len(self.held_out)), self.known_labels].astype(float)

    @property
    def votes(self) -> Float[ndarray, "validation classes"]:
        """The validation pictures' log probabilities by all streams, weighted and added up."""
        raise NotImplementedError


def weights_line(
    weights: Sequence[float], scores: Float[ndarray, "streams validation classes"], labels: Int[ndarray, "validation"]
) -> str:
    """Each stream's weight and its own accuracy, by scores or logits, as a line for people."""
    alone = (scores.argmax(2) == labels).mean(1)
    return ", ".join(
        f"{name} {weight:.2f} (alone {accuracy:.3f})"
        for name, weight, accuracy in zip(MARKS_STREAMS[: len(weights)], weights, alone, strict=True)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class PlainCalibration(Calibrated):
    """The calibration of a net's scores, and the scores that it was fitted on."""

    scores: Float[ndarray, "validation classes"]
    """Probabilities of the validation pictures, as a prediction gives them."""

    @property
    def votes(self) -> Float[ndarray, "validation classes"]:
        """See `Calibrated.votes`."""
        return votes_of(self.scores[None], [1.0])


def calibration(job: Job, trained: TrainedNet) -> PlainCalibration:
    """The temperature of the scores of the one net, from the validation pictures."""
    side = job.config.prediction_size()

    def compute() -> PlainCalibration:
        runtime = TorchRuntime(stream_modules({"picture": net_of(job, trained)}), job.hardware.device)
        views, labels = views_of(job, whole_pictures(job)["picture"], job.validation), job.labels[job.validation]
        loader = FixedBatches(views, side, AT_ONCE, job.hardware)
        batches = job.world.collect(lambda: (runtime.picture(pixels.numpy()).logits for pixels, _, _ in loader))
        scores = softmax(np.concatenate([np.zeros((0, len(job.classes)), np.float32), *batches]))
        fit = job.world.first(
            lambda: fit_calibration(lambda _, held: scores[held], labels, job.held_groups, job.config.seed)
        )
        return PlainCalibration(calibration=fit.temperature, held_out=fit.held_out, scores=scores, labels=labels)

    return job.step("calibration", PlainCalibration, [side, job.config.seed], [trained], compute)
