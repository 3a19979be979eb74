"""The linear probe: the folded head gives scikit-learn's own probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from wingbar.learning.probe import fit_head


def clouds(classes: int, seed: int, spread: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(120) % classes
    centres = np.random.default_rng(9).normal(size=(classes, 12)) * spread
    points = centres[labels] * np.linspace(0.1, 5, 12) + rng.normal(size=(120, 12))
    return (points + 7).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_head_is_scikit_learns_model_on_raw_features(classes: int) -> None:
    (train, labels), (held, _) = clouds(classes, 0, 0.4), clouds(classes, 1, 0.4)
    weight, bias = fit_head(train, labels, 0.01)
    scaler = StandardScaler().fit(train)
    model = LogisticRegression(C=0.01, max_iter=200).fit(scaler.transform(train), labels)
    ours = held @ weight.numpy().T + bias.numpy()
    np.testing.assert_allclose(softmax(ours, axis=1), model.predict_proba(scaler.transform(held)), atol=1e-3)
