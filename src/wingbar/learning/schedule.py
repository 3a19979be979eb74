"""The optimiser with its groups of parameters, and the schedule of the learning rate."""

from __future__ import annotations

import math

from torch.optim import SGD, AdamW, Optimizer

from wingbar.learning.recipe import Recipe
from wingbar.nets.saliency_head import MapNet


def make_optimizer(net: MapNet, recipe: Recipe, fused: bool = False) -> Optimizer:
    """AdamW or SGD over four groups: body and head, each with and without weight decay.

    Norms and biases (everything with fewer than two dimensions) are not decayed. ``fused``: AdamW in one kernel.
    """
    groups = []
    head = {id(parameter) for parameter in net.head.parameters()}
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for in_head in (False, True):
        for decayed in (False, True):
            members = [p for p in parameters if (id(p) in head) == in_head and (p.ndim > 1) == decayed]
            if members:
                groups.append(
                    {
                        "params": members,
                        "weight_decay": recipe.weight_decay if decayed else 0.0,
                        "factor": recipe.head_factor if in_head else 1.0,
                    }
                )
    if recipe.optimizer == "sgd":
        return SGD(groups, lr=recipe.learning_rate, momentum=0.9)
    return AdamW(groups, lr=recipe.learning_rate, fused=fused)


def rate_at(epoch: float, recipe: Recipe) -> float:
    """The body's learning rate at a moment of the training, in epochs (0 .. recipe.epochs)."""
    if epoch < recipe.warmup_epochs:
        return recipe.learning_rate * (epoch + 1e-3) / recipe.warmup_epochs
    done = (epoch - recipe.warmup_epochs) / max(recipe.epochs - recipe.warmup_epochs, 1e-9)
    if recipe.schedule == "cosine":
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    if recipe.schedule == "step":
        return recipe.learning_rate * 0.1 ** math.floor(done / recipe.step_every)
    return recipe.learning_rate
