"""Answers at a place: oracle Bayes' rule by hand, and the rule's own limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wingbar.errors import ConfigError
from wingbar.opam.place import at_place, class_weights

CLASSES = ("wren", "robin", "owl")


def test_a_prior_is_bayes_rule() -> None:
    """Likelihoods that made the scores with equal priors, put together with others."""
    likelihood, prior = {"wren": 0.02, "robin": 0.06, "owl": 0.02}, {"wren": 30.0, "robin": 10.0, "owl": 60.0}
    equal = {name: value / 0.1 for name, value in likelihood.items()}
    evidence = sum(likelihood[name] * prior[name] for name in CLASSES)
    scores = at_place(equal, prior)
    assert next(iter(scores)) == "owl"
    assert scores == pytest.approx({name: likelihood[name] * prior[name] / evidence for name in CLASSES})


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(any), st.floats(1e-3, 1e3))
def test_scores_stay_probabilities_and_equal_weights_change_nothing(raw: list[float], weight: float) -> None:
    scores = dict(zip(CLASSES, (np.array(raw) / sum(raw)).tolist(), strict=True))
    placed = at_place(scores, dict.fromkeys(CLASSES, weight))
    assert placed == pytest.approx(scores, abs=1e-9)
    listed = at_place(scores, {"wren": 1.0, "owl": 1.0})
    assert sum(listed.values()) == pytest.approx(1) and list(listed.values()) == sorted(listed.values(), reverse=True)


@pytest.mark.parametrize("unit", [5e-324, 1e-300, 1e300, 8e307])
def test_frequencies_may_be_in_any_unit(unit: float) -> None:
    scores = at_place({"wren": 0.0, "robin": 0.0, "owl": 1.0}, {"wren": unit, "robin": unit})
    assert scores == {"wren": 0.5, "robin": 0.5}


def test_what_is_there() -> None:
    assert class_weights(CLASSES, None, None) is None
    assert class_weights(CLASSES, ["owl", "wren"], None) == {"wren": 1.0, "owl": 1.0}
    assert class_weights(CLASSES, None, {"owl": 3, "wren": 0}) == {"owl": 3.0}
    assert class_weights(CLASSES, ["owl"], {"owl": 3, "wren": 2}) == {"owl": 3.0}


@pytest.mark.parametrize(
    ("only", "prior", "told"),
    [
        (["robbin"], None, "'robbin' is no class of the model. Did you mean 'robin'"),
        (None, {"wren": -1.0}, "must be 0 or more"),
        (None, {"wren": float("nan")}, "must be 0 or more"),
        ([], None, "no class is left"),
        (["owl"], {"wren": 1.0}, "no class is left"),
    ],
)
def test_what_is_no_place_is_told(only: list[str] | None, prior: dict[str, float] | None, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        class_weights(CLASSES, only, prior)
