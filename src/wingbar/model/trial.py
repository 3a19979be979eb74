"""The trial of a model that was just read: its nets are shown grey squares, and their answers have to fit its card."""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from wingbar._system.memory import out_of_memory
from wingbar.model.card import Card
from wingbar.model.runtime import Runtime

Means = Mapping[str, ndarray]
"""By view the mean feature vector of each class, by which strangers are told."""


def try_out(card: Card, runtime: Runtime, neurons: int, means: Means) -> None:
    """Raise ValueError where the nets' answers do not fit the card, the number of aligned ``neurons``, or ``means``."""
    try:
        fits = _pictures_fit(card, runtime, neurons, means) and (
            _views_fit(card, runtime, means) if card.has_marks else _crops_fit(card, runtime)
        )
    except RuntimeError as error:  # torch's word for shapes that do not go together
        if out_of_memory(error):
            raise
        raise ValueError(f"sizes ({error})") from None
    if not fits:
        raise ValueError("what its nets answer")


def _pictures_fit(card: Card, runtime: Runtime, neurons: int, means: Means) -> bool:
    output, classes = runtime.picture(_grey(card.picture_size)), len(card.classes)
    fits = output.evidence.ndim == output.neurons.ndim == 4 and output.evidence.shape[:2] == (1, classes)
    fits &= output.logits.shape == (1, classes) and output.corners.shape == (1, 4)
    fits &= output.neurons.shape[1] == neurons
    fits &= card.has_marks or _means_fit(card, means, output.features, {"picture"})
    return fits and all(np.isfinite(answer).all() for answer in output)


def _crops_fit(card: Card, runtime: Runtime) -> bool:
    square = _grey(card.eval_size)
    crops = {name: runtime.crops(name, square) for name in card.fusion_weights if name != "picture"}
    fits = all(logits.shape == (1, card.outputs(name)) for name, logits in crops.items())
    return fits and all(np.isfinite(logits).all() for logits in crops.values())


def _views_fit(card: Card, runtime: Runtime, means: Means) -> bool:
    output = runtime.views(_grey(card.eval_size))
    fits = output.logits.shape == (1, len(card.classes)) and output.corners.shape == (1, 4)
    fits &= output.marks.ndim == 4 and output.marks.shape[1] == len(card.mark_sides)
    fits &= _means_fit(card, means, output.features, {"object", "parts"})
    return fits and all(np.isfinite(answer).all() for answer in output)


def _means_fit(card: Card, means: Means, features: Float32[ndarray, "1 channels"], views: Set[str]) -> bool:
    """Whether the means are of these ``views``, and made of as many channels as the nets' features."""
    if card.strangers is None:
        return True
    shape = (len(card.classes), features.shape[1])
    of_views = set(means) == views and len(card.strangers.means) == 1 + len(views)
    return of_views and all(mean.shape == shape for mean in means.values())


def _grey(side: int) -> UInt8[ndarray, "1 3 side side"]:
    return np.full((1, 3, side, side), 127, np.uint8)
