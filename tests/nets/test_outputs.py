"""What a net says of a whole picture: by what lies in the object's box, and how much of each place that is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wingbar.nets import create
from wingbar.nets.outputs import CornerHead, SecondHead, WholeNet, box_weights, covered


@pytest.mark.parametrize(("low", "high", "count"), [(0.0, 1.0, 5), (0.2, 0.65, 7), (0.31, 0.33, 4), (0.9, 0.1, 3)])
def test_places_count_by_the_share_that_is_covered(low, high, count) -> None:
    # Oracle: the share of a fine ruler's ticks.
    ticks = (np.arange(count * 10_000) + 0.5) / (count * 10_000)
    expected = ((low < ticks) & (ticks < high)).reshape(count, -1).mean(1)
    shares = covered(torch.tensor([low]), torch.tensor([high]), count)[0]
    np.testing.assert_allclose(shares.numpy(), expected, atol=1e-3)


def test_the_answer_is_the_mean_over_the_object() -> None:
    evidence = torch.randn(1, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    # Rows 1 and 2, columns 3 to 5: x1, y1, x2, y2 in shares of the picture.
    weights = box_weights(torch.tensor([[0.5, 0.25, 1.0, 0.75]]), 4, 6)
    expected = evidence[:, :, 1:3, 3:].mean((2, 3))
    np.testing.assert_allclose((evidence * weights[:, None]).mean((2, 3)).numpy(), expected.numpy(), atol=0.02)


@pytest.mark.parametrize("corners", [(0.6, 0.6, 0.4, 0.4), (0.0, 0.0, 0.0, 0.0), (-9.0, -9.0, 9.0, 9.0)])
def test_of_an_empty_or_a_full_box_every_place_counts_alike(corners) -> None:
    np.testing.assert_allclose(box_weights(torch.tensor([corners]), 3, 5).numpy(), np.ones((1, 3, 5)), rtol=1e-6)


@torch.no_grad()
def test_what_the_second_head_says_is_in_the_answer_and_in_its_map() -> None:
    torch.manual_seed(0)
    net = create("res2net_nano", 3).eval()
    second = SecondHead(torch.randn(3, net.num_features), torch.randn(3))
    pixels = torch.randint(256, (2, 3, 64, 64)).byte()
    corners = CornerHead(*(torch.zeros(4, net.num_features, 1, 1),) * 2, torch.tensor([0.1, 0.1, 0.6, 0.5]))
    without, both = (WholeNet(net, None, corners, head)(pixels) for head in (None, second))
    np.testing.assert_allclose(both[1], without[1] + without[3] @ second.weight.T + second.bias, rtol=1e-4, atol=1e-5)
    biases = net.head.bias + second.bias
    np.testing.assert_allclose(both[1], both[0].mean((2, 3)) + biases, rtol=1e-4, atol=1e-5)
