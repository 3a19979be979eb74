"""Species of a place: what an answer is where some classes do not live, or are rarer than others.

    p'(c) = w(c) p(c) / sum_k w(k) p(k)

p are the fused, calibrated probabilities, w(c) how frequent the class is at the place beside its share of the training
pictures, which is taken to be the same for all classes; 0 for a class that is not there (Saerens, Latinne,
Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural Computation 14(1), 2002).

The model sees no less because of that: ``outside`` is what it gave to classes that are not there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from wingbar.errors import ConfigError, suggestion
from wingbar.opam.calibration import LEAST


def class_weights(
    classes: Collection[str], only: Collection[str] | None, prior: Mapping[str, float] | None
) -> dict[str, float] | None:
    """w of each class that is there; None where nothing is said.

    ``only`` are the classes that are there, ``prior`` how frequent each is; one without a value is not there.
    Raises ConfigError for an unknown class, for a value that is no frequency, and where no class is left.
    """
    if only is None and prior is None:
        return None
    for name in (*(only or ()), *(prior or ())):
        if name not in classes:
            raise ConfigError(f"{name!r} is no class of the model.{suggestion(name, classes)}")
    if wrong := [name for name, value in (prior or {}).items() if not 0 <= value < float("inf")]:
        raise ConfigError(f"the prior of {wrong[0]!r} is {(prior or {})[wrong[0]]}; it must be 0 or more.")
    there = {
        name: 1.0 if prior is None else float(prior.get(name, 0)) for name in classes if only is None or name in only
    }
    if not (there := {name: value for name, value in there.items() if value > 0}):
        raise ConfigError("no class is left at this place: list at least one of the model's classes.")
    return there


def at_place(scores: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """p' of the classes that are there, the likeliest first."""
    most = max(weights.values())  # so that weights in any unit neither vanish nor overflow
    weighted = {name: weight / most * max(scores[name], LEAST) for name, weight in weights.items()}
    total = sum(weighted.values())
    return dict(sorted(((name, value / total) for name, value in weighted.items()), key=lambda item: -item[1]))
