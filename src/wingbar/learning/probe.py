"""The linear probe: a head fitted on frozen features, the right start for a gentle fine-tuning.

Tuning everything from a random head spoils pretrained features (Kumar et al., *Fine-Tuning can Distort
Pretrained Features and Underperform Out-of-Distribution*, ICLR 2022); so the head is fitted first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from wingbar.learning.loop import Hardware, normalize
from wingbar.learning.views import View, fixed_loader
from wingbar.nets.saliency_head import MapNet

STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@torch.no_grad()
def features(net: MapNet, views: Sequence[View], size: int, hardware: Hardware) -> Float[ndarray, "n channels"]:
    """The globally pooled feature map of each view and its mirror, averaged."""
    net.eval()
    pooled = [torch.zeros(0, net.num_features)]
    for pixels, _, _ in fixed_loader(views, size, 64, hardware.workers):
        batch = normalize(pixels.to(hardware.device), net)
        with hardware.fabric.autocast():
            both = [net.forward_features(x).mean((2, 3)) for x in (batch, batch.flip(3))]
        pooled.append(((both[0] + both[1]) / 2).float().cpu())
    return torch.cat(pooled).numpy()


def fit_head(
    train: Float[ndarray, "n channels"],
    labels: Int[ndarray, "n"],
    validation: Float[ndarray, "v channels"],
    validation_labels: Int[ndarray, "v"],
) -> tuple[Float[Tensor, "classes channels"], Float[Tensor, "classes"], float]:
    """Weight, bias and validation accuracy of a multinomial logistic regression.

    Features are standardised, and the scaling is folded back into the weights. The strength of the
    regularisation is the one with the least validation loss (the middle one without validation).
    """
    mean, deviation = train.mean(0), train.std(0) + 1e-6
    z = (train - mean) / deviation
    best = None
    for strength in STRENGTHS if len(validation) else STRENGTHS[2:3]:
        model = LogisticRegression(C=strength, max_iter=200).fit(z, labels)
        loss = accuracy = 0.0
        if len(validation):
            log_p = model.predict_log_proba((validation - mean) / deviation)
            loss = -float(log_p[np.arange(len(log_p)), validation_labels].mean())
            accuracy = float((log_p.argmax(1) == validation_labels).mean())
        if best is None or loss < best[0]:
            best = (loss, accuracy, model)
    assert best is not None  # there is at least one strength
    _, accuracy, model = best
    weight, bias = _two_class_rows(model.coef_, model.intercept_)
    weight = weight / deviation
    bias = bias - weight @ mean
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float(), accuracy


def _two_class_rows(weight: ndarray, bias: ndarray) -> tuple[ndarray, ndarray]:
    # scikit-learn keeps one row for two classes: the log-odds of the second.
    if len(weight) > 1:
        return weight, bias
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
