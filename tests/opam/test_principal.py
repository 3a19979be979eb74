"""The principal direction: against scikit-learn's PCA, and on planted objects."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from wingbar.opam.principal import Moments


def principal_direction(batches: Iterable[torch.Tensor]) -> torch.Tensor:
    return sum(map(Moments.of, batches), Moments()).principal()


def principal_directions(batches: Iterable[torch.Tensor], count: int) -> torch.Tensor:
    return sum(map(Moments.of, batches), Moments()).directions(count).float()


def planted(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps whose middle differs from the rest along one random direction."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(torch.randn(12, generator=generator), dim=0)
    features = torch.randn(8, 12, 6, 7, generator=generator) * 0.3 + 2
    features[:, :, 2:4, 2:5] += 3 * direction[:, None, None]
    return features, direction


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_first_principal_component(seed: int) -> None:
    features, _ = planted(seed)
    direction = principal_direction(features.split(3))
    vectors = features.permute(0, 2, 3, 1).flatten(0, 2).numpy()
    expected = PCA(1).fit(vectors).components_[0]
    assert abs(float(direction.numpy() @ expected)) == pytest.approx(1, abs=1e-5)


def test_more_directions_are_the_first_components() -> None:
    features, _ = planted(0)
    directions = principal_directions(features.split(3), 4).numpy()
    vectors = features.permute(0, 2, 3, 1).flatten(0, 2).numpy()
    expected = PCA(4).fit(vectors).components_
    np.testing.assert_allclose(np.abs(directions @ expected.T), np.eye(4), atol=1e-3)
    assert principal_directions([features], 99).shape == (12, 12)


@pytest.mark.parametrize("seed", range(4))
def test_it_points_at_the_object(seed: int) -> None:
    features, direction = planted(seed)
    found = principal_direction([features])
    assert float(found @ direction) > 0.95
    maps = torch.einsum("bchw,c->bhw", features, found)
    assert maps[:, 2:4, 2:5].min() > np.quantile(maps, 0.8)


def test_no_features_are_refused() -> None:
    with pytest.raises(ValueError, match="no features"):
        principal_direction([])
