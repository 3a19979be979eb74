"""Patch filtering: the quick scorer against the exact one, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wingbar.nets import create
from wingbar.opam.filtering import crop_confidences, keep_patches, roi_confidences


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    return create("resnet18", 5).eval()


def test_crop_confidence_is_the_softmax_at_the_label(net) -> None:
    crops = torch.randn(3, 3, 64, 64)
    expected = net(crops).softmax(1)[:, 2]
    torch.testing.assert_close(crop_confidences(net, crops, 2), expected)


def test_the_whole_picture_pooled_is_the_whole_picture_forwarded(net) -> None:
    """With one sample a cell of the map, RoIAlign of everything is the map itself."""
    picture = torch.randn(3, 160, 160)
    pooled = roi_confidences(net, picture, np.array([[0.0, 0.0, 160.0, 160.0]]), 1, cells=5)
    torch.testing.assert_close(pooled, crop_confidences(net, picture[None], 1), rtol=1e-4, atol=1e-6)


def test_pooled_patches_follow_the_map(net) -> None:
    """A box of whole map cells is pooled from just these cells."""
    picture = torch.randn(3, 128, 128)
    cells = net.forward_features(picture[None])[:, :, 1:3, 0:2]
    expected = net.forward_head(cells).softmax(1)[:, 0]
    pooled = roi_confidences(net, picture, np.array([[0.0, 32.0, 64.0, 96.0]]), 0, cells=2)
    torch.testing.assert_close(pooled, expected, rtol=1e-4, atol=1e-6)


def test_the_surest_patches_above_the_threshold_are_kept() -> None:
    confidences = np.array([0.95, 0.2, 0.99, 0.95, 0.9, 0.91])
    assert keep_patches(confidences, 0.9).tolist() == [2, 0, 3, 5]
    assert keep_patches(confidences, 0.9, cap=2).tolist() == [2, 0]
    assert keep_patches(confidences, 0.999).tolist() == []
    assert keep_patches(np.zeros(0)).tolist() == []
