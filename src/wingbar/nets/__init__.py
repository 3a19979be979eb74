"""Networks that give a feature map and, through it, scores and exact class activation maps."""

from __future__ import annotations

from wingbar.nets.inference import for_inference
from wingbar.nets.neurons import neuron_layer, response_map
from wingbar.nets.saliency_head import MapNet, WeightsSource
from wingbar.nets.zoo import create

__all__ = ["MapNet", "WeightsSource", "create", "for_inference", "neuron_layer", "response_map"]
