"""Optimiser groups and learning rates, against torch's own schedulers where they exist."""

from __future__ import annotations

import math

import pytest
import torch

from wingbar.errors import ConfigError
from wingbar.learning.recipe import PAPER, Recipe
from wingbar.learning.schedule import make_optimizer, rate_at
from wingbar.nets import create


def test_cosine_is_torchs() -> None:
    recipe = Recipe(epochs=10, warmup_epochs=0.0, learning_rate=0.5)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for epoch in range(10):
        assert rate_at(float(epoch), recipe) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()


def test_warm_up_is_linear_and_meets_the_cosine() -> None:
    recipe = Recipe(epochs=10, warmup_epochs=2.0, learning_rate=1.0)
    assert rate_at(0.0, recipe) < 0.01
    assert rate_at(1.0, recipe) == pytest.approx(0.5, abs=0.01)
    assert rate_at(2.0, recipe) == pytest.approx(1.0)
    assert rate_at(10.0, recipe) == pytest.approx(0.0)


def test_the_papers_steps_divide_by_ten() -> None:
    rates = [rate_at(PAPER.epochs * share, PAPER) for share in (0.0, 0.39, 0.41, 0.81)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-6])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_head_is_faster_and_norms_and_biases_do_not_decay(optimizer) -> None:
    net = create("res2net_nano", 3)
    made = make_optimizer(net, Recipe(optimizer=optimizer, head_factor=7.0, weight_decay=0.3))
    placed = {id(p): group for group in made.param_groups for p in group["params"]}
    assert len(placed) == len(list(net.parameters()))
    for name, parameter in net.named_parameters():
        group = placed[id(parameter)]
        assert group["factor"] == (7.0 if name.startswith("head.") else 1.0)
        assert group["weight_decay"] == (0.3 if parameter.ndim > 1 else 0.0)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}, {"scale": (0.0, 1.0)}, {"scale": (0.9, 0.2)}])
def test_impossible_recipes_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match=f"recipe.{next(iter(wrong))}"):
        Recipe(**wrong)


def test_a_rate_is_never_negative() -> None:
    recipe = Recipe(epochs=3, warmup_epochs=1.0)
    assert all(rate_at(3 * i / 100, recipe) >= 0 and math.isfinite(rate_at(3 * i / 100, recipe)) for i in range(101))
