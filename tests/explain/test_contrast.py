"""Why A and not B, against cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from wingbar.errors import PictureError
from wingbar.explain import contrast
from wingbar.explain.contrast import extremes
from wingbar.prediction import Part, Prediction, part_names

CLASSES = ("wren", "robin", "tit")


def scores(*values: float) -> dict[str, float]:
    return dict(zip(CLASSES, values, strict=True))


def prediction() -> Prediction:
    evidence = np.array([[[1.0, 0.0], [2.0, 5.0]], [[9.0, 9.0], [9.0, 9.0]], [[4.0, 0.5], [2.0, -1.0]]], np.float32)
    return Prediction(
        "x.jpg", (20, 10), {"tit": 0.5, "wren": 0.375, "robin": 0.125}, (0, 0, 20, 10),
        (Part((0, 0, 5, 5), 0, scores(0.25, 0.0, 0.75)), Part((5, 0, 9, 5), 1, scores(0.5, 0.25, 0.25))),
        {"picture": scores(0.25, 0.25, 0.5), "parts": scores(0.5, 0.0, 0.5)},
        evidence=evidence,
    )  # fmt: skip


def test_the_best_class_against_the_next() -> None:
    comparison = contrast(prediction())
    assert (comparison.first, comparison.second) == ("tit", "wren")
    np.testing.assert_array_equal(comparison.evidence, [[3.0, 0.5], [0.0, -6.0]])  # tit's map less wren's
    assert comparison.parts == (0.5, -0.25)
    assert comparison.streams == {"picture": 0.25, "parts": 0.0}
    assert comparison.fused == 0.125


def test_the_difference_of_evidence_is_the_difference_of_logits_without_bias() -> None:
    p = prediction()
    logits = p.evidence.mean((1, 2))
    assert contrast(p).evidence.mean() == pytest.approx(logits[2] - logits[0])


def test_the_map_and_the_leaning_add_up_to_the_difference_of_logits() -> None:
    """The logits are those that a softmax makes the picture's scores from, whatever is added to all of them."""
    p = prediction()
    logits = np.log([p.streams["picture"][name] for name in CLASSES])
    bias = logits - p.evidence.mean((1, 2))
    assert contrast(p).leaning == pytest.approx(bias[2] - bias[0])


def test_an_unreadable_picture_has_no_contrast() -> None:
    with pytest.raises(PictureError, match="gone"):
        contrast(Prediction("x.jpg", error="gone"))


def test_extremes_lie_in_the_middle_of_their_cell() -> None:
    first, second = extremes(np.array([[3.0, 0.5], [0.0, -6.0]], np.float32))
    assert first == (0.25, 0.25) and second == (0.75, 0.75)
    assert extremes(np.zeros((2, 2), np.float32)) == (None, None)
    assert extremes(np.ones((1, 4), np.float32)) == ((0.125, 0.5), None)


def test_parts_of_one_cluster_have_one_number() -> None:
    assert part_names([0, 1]) == ["1", "2"]
    assert part_names([1, 0, 1, 1]) == ["2a", "1", "2b", "2c"]
    assert part_names([]) == []
