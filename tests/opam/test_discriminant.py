"""Object against background by a linear discriminant: planted objects are found, whatever varies most."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from wingbar.opam.discriminant import middle_and_border, object_direction


def planted(seed: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Maps whose objects differ along one direction, beside a direction that varies far more and tells nothing."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(12, 12, generator=generator))[0]
    features = torch.randn(16, 12, 9, 9, generator=generator) * 0.3
    features += 6 * torch.randn(16, 1, 9, 9, generator=generator) * basis[1][None, :, None, None]  # contrast, say
    inside = np.zeros((16, 9, 9), bool)
    for picture, (row, column) in enumerate(np.random.default_rng(seed).integers(1, 4, (16, 2))):
        inside[picture, row : row + 5, column : column + 4] = True
    features += 3 * torch.from_numpy(inside)[:, None] * basis[0][None, :, None, None]
    return features, basis[0], inside


@pytest.mark.parametrize("seed", range(4))
def test_objects_are_told_though_something_else_varies_more(seed: int) -> None:
    features, direction, inside = planted(seed)
    found = object_direction(features)
    assert float(found @ direction) > 0.95 and float(found.norm()) == pytest.approx(1)
    maps = torch.einsum("nchw,c->nhw", features, found).numpy()
    assert maps[inside].mean() - maps[~inside].mean() > 4 * maps[~inside].std()


def test_a_round_is_fishers_discriminant() -> None:
    """Middle and border are its classes; its covariance is that of all cells, scikit-learn's that within classes."""
    features, _, _ = planted(0)
    inside, outside = middle_and_border(9, 9, edge=0)
    vectors = features.permute(0, 2, 3, 1).numpy()
    chosen = np.concatenate([vectors[:, inside].reshape(-1, 12), vectors[:, outside].reshape(-1, 12)])
    labels = np.repeat([1, 0], [16 * inside.sum(), 16 * outside.sum()])
    expected = LinearDiscriminantAnalysis(solver="lsqr").fit(chosen, labels).coef_[0]
    direction = object_direction(features, edge=0, rounds=0).numpy()
    assert direction @ expected / np.linalg.norm(expected) > 0.9  # the ridge and the other cells turn it a little


def test_middle_and_border_have_no_cell_in_common() -> None:
    for height, width in ((3, 3), (5, 5), (7, 10), (13, 13)):
        inside, outside = middle_and_border(height, width)
        assert inside.any() and outside.any() and not (inside & outside).any()


def test_padding_that_shows_at_the_edge_is_not_taken_for_background() -> None:
    """Objects lie anywhere, so that the middle hardly tells; every map's edge looks the same, as a net's zeros do."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 6, 18, 18, generator=generator) * 0.3
    inside = np.zeros((40, 18, 18), bool)
    for picture, (row, column) in enumerate(np.random.default_rng(0).integers(1, 12, (40, 2))):
        inside[picture, row : row + 5, column : column + 5] = True
    features[:, 0] += 3 * torch.from_numpy(inside)
    edge = torch.ones(18, 18)
    edge[1:-1, 1:-1] = 0
    features[:, 1] -= 5 * edge
    assert float(object_direction(features)[0]) > 0.95
    assert float(object_direction(features, edge=0)[0]) < 0.8


def test_maps_without_a_middle_are_refused() -> None:
    with pytest.raises(ValueError, match="no middle"):
        object_direction(torch.zeros(2, 4, 2, 5))
