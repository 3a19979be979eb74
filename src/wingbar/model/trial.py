"""The trial of a model that was just read: its nets are shown grey squares, and their answers have to fit its card."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from wingbar._system.memory import out_of_memory
from wingbar.model.card import Card
from wingbar.model.runtime import Runtime
from wingbar.opam.joint import JointHead
from wingbar.opam.strangers import Scatters


def try_out(card: Card, runtime: Runtime, neurons: int, scatter_of: Scatters, joint: JointHead | None) -> None:
    """Raise ValueError where the nets' answers do not fit the card, aligned ``neurons``, ``scatter_of``, ``joint``."""
    try:
        fits = _pictures_fit(card, runtime, neurons, scatter_of) and (
            _crops_fit(card, runtime) if joint is None else _views_fit(card, runtime, scatter_of, joint)
        )
    except RuntimeError as error:  # torch's word for shapes that do not go together
        if out_of_memory(error):
            raise
        raise ValueError(f"sizes ({error})") from None
    if not fits:
        raise ValueError("what its nets answer")


def _pictures_fit(card: Card, runtime: Runtime, neurons: int, scatter_of: Scatters) -> bool:
    output, classes = runtime.picture(_grey(card.picture_size)), len(card.classes)
    fits = output.evidence.ndim == output.neurons.ndim == 4 and output.evidence.shape[:2] == (1, classes)
    fits &= output.logits.shape == (1, classes) and output.corners.shape == (1, 4)
    fits &= output.neurons.shape[1] == neurons
    fits &= card.has_marks or _scatters_fit(card, scatter_of, output.features, {"picture"})
    return fits and all(np.isfinite(answer).all() for answer in output)


def _crops_fit(card: Card, runtime: Runtime) -> bool:
    square = _grey(card.eval_size)
    crops = {name: runtime.crops(name, square) for name in card.fusion_weights if name != "picture"}
    fits = all(logits.shape == (1, card.outputs(name)) for name, logits in crops.items())
    return fits and all(np.isfinite(logits).all() for logits in crops.values())


def _views_fit(card: Card, runtime: Runtime, scatter_of: Scatters, joint: JointHead) -> bool:
    output = runtime.views(_grey(card.eval_size))
    fits = output.logits.shape == (1, len(card.classes)) and output.corners.shape == (1, 4)
    fits &= output.marks.ndim == 4 and output.marks.shape[1] == len(card.mark_sides)
    fits &= _scatters_fit(card, scatter_of, output.features, {"object", "parts"})
    views, classes = 2 + len(card.mark_sides), len(card.classes)
    fits &= joint.weight.shape == (views, classes, output.features.shape[1]) and joint.bias.shape == (classes,)
    fits &= joint.weight.dtype == joint.bias.dtype == np.float32
    return fits and all(np.isfinite(answer).all() for answer in output)


def _scatters_fit(card: Card, scatter_of: Scatters, features: Float32[ndarray, "1 channels"], views: Set[str]) -> bool:
    """Whether the classes lie in these ``views``, of as many channels as the nets' features."""
    if card.strangers is None:
        return True
    sizes = {(len(one.axes), len(one.means)) for one in scatter_of.values()}
    of_views = set(scatter_of) == views and len(card.strangers.means) == 1 + len(views)
    if not of_views or sizes != {(features.shape[1], len(card.classes))}:
        return False
    return all(np.isfinite(one.nearness(features)).all() for one in scatter_of.values())


def _grey(side: int) -> UInt8[ndarray, "1 3 side side"]:
    return np.full((1, 3, side, side), 127, np.uint8)
