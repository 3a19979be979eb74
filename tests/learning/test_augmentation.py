"""Colours and blanks of whole batches, against Pillow's and torchvision's functions for one picture."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from torchvision.transforms.v2 import functional

from wingbar.learning.augmentation import augmented, recoloured

NET = SimpleNamespace(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
FACTOR = st.floats(0.6, 1.4)


def picture(seed: int, low: int, high: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (20, 30, 3), dtype=np.uint8)


def as_batch(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


@given(FACTOR, FACTOR, FACTOR, st.integers(0, 9))
def test_colours_are_torchvisions_where_nothing_is_clipped(b: float, c: float, s: float, seed: int) -> None:
    x = as_batch(picture(seed, 90, 110)).double() / 255
    expected = functional.adjust_contrast(functional.adjust_brightness(x, b), c)
    expected = functional.adjust_saturation(expected, s)
    torch.testing.assert_close(recoloured(x.float(), torch.tensor([[b, c, s]])), expected.float(), atol=2e-4, rtol=0)


@given(FACTOR, FACTOR, FACTOR, st.integers(0, 9))
def test_colours_are_pillows_but_for_its_rounding(b: float, c: float, s: float, seed: int) -> None:
    pixels = picture(seed, 90, 110)
    expected = Image.fromarray(pixels)
    for change, factor in ((ImageEnhance.Brightness, b), (ImageEnhance.Contrast, c), (ImageEnhance.Color, s)):
        expected = change(expected).enhance(factor)
    ours = 255 * recoloured(as_batch(pixels).float() / 255, torch.tensor([[b, c, s]]))
    assert np.abs(ours[0].permute(1, 2, 0).numpy() - np.asarray(expected)).max() < 5  # it truncates three times


def test_without_changes_a_batch_is_only_normalised() -> None:
    pixels = as_batch(picture(0, 0, 256))
    shown = augmented(pixels, torch.ones(1, 3), torch.zeros(1, 4, dtype=torch.int64), NET)
    expected = functional.normalize(pixels / 255, NET.mean, NET.std)
    torch.testing.assert_close(shown, expected, atol=1e-5, rtol=0)
    assert shown.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("number", [0, 1])
def test_each_view_has_its_own_colours_and_its_own_blank(number: int) -> None:
    batch = torch.cat([as_batch(picture(seed, 0, 256)) for seed in (1, 2)])
    factors, blanks = torch.tensor([[0.7, 1.2, 0.9], [1.3, 0.8, 1.0]]), torch.tensor([[3, 5, 9, 11], [0, 0, 0, 0]])
    whole = augmented(batch, factors, blanks, NET)
    one = slice(number, number + 1)
    torch.testing.assert_close(whole[one], augmented(batch[one], factors[one], blanks[one], NET))
    inside = torch.zeros(20, 30, dtype=torch.bool)
    inside[5:11, 3:9] = number == 0
    assert torch.equal((whole[number] == 0).all(0), inside)
