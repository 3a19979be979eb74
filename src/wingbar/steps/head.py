"""The step of the head: a finished model's net as it is, with a linear layer for other classes.

Nothing of the net changes but its last layer. That one is a logistic regression on what the net sees of the training
pictures and, of field marks, of their objects and marks, as the finished model finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from scipy.special import log_softmax

from wingbar._system.files import digest
from wingbar.errors import RunError
from wingbar.learning.probe import fit_head
from wingbar.model.card import VIEWS
from wingbar.model.folder import Model, misstated
from wingbar.model.torch_runtime import nets_of
from wingbar.opam.calibration import fit_temperature, mean_loss
from wingbar.steps.job import Job
from wingbar.steps.marks import Marks
from wingbar.steps.nets import TrainedNet
from wingbar.steps.reading import Reader, features_of
from wingbar.steps.readout import Readout

STRENGTHS = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Inverse strengths of the regularisation that are tried."""


def net_of_model(model: Model) -> TrainedNet:
    """The one net of a finished model, as if a step of this run had trained it. Raises RunError."""
    name, card = VIEWS if model.card.has_marks else "picture", model.card
    if card.nets != (name,):
        raise RunError(f"{model.folder}: has {len(card.nets)} nets; a model of one net is gone on from.")
    return TrainedNet(
        tensors={key: one.numpy() for key, one in nets_of(model)[name].state_dict().items()},
        weights=card.pretrained.weights, licence=card.pretrained.licence, history={},
        key=card.sha256[name], sha256=card.sha256[name],
    )  # fmt: skip


def marks_of_model(model: Model) -> tuple[Marks, Readout]:
    """The marks of a finished model, of no picture, and what reads them off its net. Raises RunError."""
    card, sides = model.card, list(model.card.mark_sides)
    key = digest(sides, card.middle_layer, card.sha256["readout"])
    marks = Marks(
        boxes=np.zeros((0, len(sides), 4), np.int32),
        sides=sides,
        places=np.zeros((0, len(sides), 2), np.int64),
        key=key,
    )
    values: dict[str, Any] = model.arrays("readout")
    with misstated(model.card_file):
        return marks, Readout(layer=card.middle_layer, key=key, **values)


def head(job: Job, taken: TrainedNet, make_reader: Callable[[], Reader]) -> TrainedNet:
    """The net ``taken`` from a finished model with a head for this run's classes.

    ``make_reader`` makes what reads features. The head's strength is that which tells the validation pictures best.
    """

    def compute() -> TrainedNet:
        read = make_reader()
        everything = np.arange(len(job.samples))
        views = features_of(job, read, everything).of_views
        weight, bias = job.world.first(lambda: _best_head(job, views))
        tensors = {**taken.tensors, "head.weight": weight, "head.bias": bias}
        return TrainedNet(tensors=tensors, weights=taken.weights, licence=taken.licence, history={})

    return job.step("head", TrainedNet, [job.config.prediction_size(), STRENGTHS], [taken], compute)


def _best_head(
    job: Job, views: Float32[ndarray, "n views channels"]
) -> tuple[Float32[ndarray, "classes channels"], Float32[ndarray, "classes"]]:
    training, held = job.training, job.validation
    rows, labels = views[training].reshape(-1, views.shape[2]), np.repeat(job.labels[training], views.shape[1])

    def loss(head: tuple[ndarray, ndarray]) -> float:
        scores = log_softmax(views[held] @ head[0].T + head[1], axis=-1).mean(1)
        return mean_loss(scores / fit_temperature(scores, job.labels[held]), job.labels[held])

    fits = [fit_head(rows, labels, strength) for strength in STRENGTHS]
    heads = [(weight.numpy(), bias.numpy()) for weight, bias in fits]
    losses = [loss(head) for head in heads]
    best = int(np.argmin(losses))
    job.reporter.say(f"  strength {STRENGTHS[best]:g}: loss of held-out pictures {losses[best]:.3f}")
    return heads[best]
