"""Which parts of a net come together at a time when ranks share its weights out, as in tests/support/ranks_alike.py."""

from __future__ import annotations

import pytest
import torch

from wingbar.learning.sharding import LEAST, SHARE, size_of, units
from wingbar.nets import create

NETS = ("res2net50_26w_4s", "convnext_tiny", "vit_small_patch16_224", "twins_svt_small", "efficientnet_b0")


@pytest.mark.parametrize("name", NETS)
def test_units_share_no_weight_and_hold_nearly_all_in_parts_that_are_small(name: str) -> None:
    with torch.device("meta"):
        net = create(name, 20)
    count = size_of(net)
    result = list(units(net.backbone, count // SHARE, count // LEAST))
    weights = [id(weight) for unit in result for weight in unit.parameters()]
    assert len(set(weights)) == len(weights)
    assert sum(map(size_of, result)) > 0.9 * count
    assert max(map(size_of, result)) <= count / SHARE
