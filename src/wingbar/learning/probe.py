"""The linear probe: a head fitted on frozen features, the right start for a gentle fine-tuning.

Tuning everything from a random head spoils pretrained features (Kumar et al., *Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution*, ICLR 2022); so the head is fitted first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from wingbar.learning.hardware import Hardware
from wingbar.learning.views import FixedBatches, View
from wingbar.nets.saliency_head import MapNet, normalize

STRENGTH = 3e-4
"""Inverse strength of the regularisation, on standardised features. A head that fits its training pictures perfectly
leaves no gradient to the fine-tuning (measured on cub50: accuracy 0.66 instead of 0.70 afterwards)."""


@torch.no_grad()
def features(net: MapNet, views: Sequence[View], size: int, hardware: Hardware) -> Float[ndarray, "n channels"]:
    """The globally pooled feature map of each view and its mirror, averaged."""
    net.eval()

    def pooled() -> Iterator[Tensor]:
        for pixels, _, _ in FixedBatches(views, size, 64, hardware):
            batch = normalize(pixels.to(hardware.device), net)
            with hardware.fabric.autocast():
                both = [net.forward_features(x).mean((2, 3)) for x in (batch, batch.flip(3))]
            yield ((both[0] + both[1]) / 2).float().cpu()

    return torch.cat([torch.zeros(0, net.num_features), *hardware.world.collect(pooled)]).numpy()


def fit_head(
    train: Float[ndarray, "n channels"], labels: Int[ndarray, "n"], strength: float = STRENGTH
) -> tuple[Float[Tensor, "classes channels"], Float[Tensor, "classes"]]:
    """Weight and bias of a multinomial logistic regression on standardised features.

    The standardisation is folded back, so that they apply to raw features.
    """
    from sklearn.linear_model import LogisticRegression  # as models are learnt only

    mean, deviation = train.mean(0), train.std(0) + 1e-6
    model = LogisticRegression(C=strength, max_iter=200).fit((train - mean) / deviation, labels)
    weight, bias = _two_class_rows(model.coef_, model.intercept_)
    weight = weight / deviation
    return torch.from_numpy(weight).float(), torch.from_numpy(bias - weight @ mean).float()


def _two_class_rows(weight: ndarray, bias: ndarray) -> tuple[ndarray, ndarray]:
    # scikit-learn keeps one row for two classes: the log-odds of the second.
    if len(weight) > 1:
        return weight, bias
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
