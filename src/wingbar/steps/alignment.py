"""The step of alignment: which place of the object each training part shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar.learning.views import batches
from wingbar.nets.neurons import neuron_layer
from wingbar.nets.saliency_head import MapNet
from wingbar.opam.alignment import assign_parts, cluster_neurons, cluster_responses
from wingbar.opam.maps import pool_boxes
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.parts import Parts
from wingbar.steps.passes import AT_ONCE, picture_outputs
from wingbar.steps.store import Ragged, StepResult


@dataclass(frozen=True, kw_only=True, eq=False)
class AlignedParts(StepResult):
    """Clusters of ClassNet's neurons, and the cluster of every training part."""

    layer: str
    """Name of ClassNet's penultimate dense layer, whose neurons are clustered."""
    neurons: Int[ndarray, "neurons"]
    """Cluster of each neuron."""
    mean: Float[ndarray, "clusters"]
    """Of the training parts' responses, by cluster."""
    deviation: Float[ndarray, "clusters"]
    clusters: Ragged
    """int [parts] a picture: the cluster of each part."""


def alignment(job: Job, classnet: TrainedNet, chosen: Parts) -> AlignedParts:
    """Clusters of ClassNet's neurons, and the cluster of every part."""
    config, settings = job.config, job.config.alignment

    def responses(net: MapNet, layer: str, neurons: ndarray) -> Iterator[list[ndarray]]:
        outputs = picture_outputs(job, net, config.prediction_size(), layer=layer)
        for batch, output in zip(job.world.share(batches(len(job.samples), AT_ONCE)), outputs, strict=True):
            pooled = [
                pool_boxes(maps, chosen.boxes[i], job.sizes[i]) for i, maps in zip(batch, output.neurons, strict=True)
            ]
            yield [cluster_responses(parts, neurons, settings.clusters, settings.rule) for parts in pooled]

    def compute() -> AlignedParts:
        net = net_of(job, classnet)
        layer, module = neuron_layer(net)
        weight = module.get_parameter("weight").detach().flatten(1).float().cpu().numpy()
        neurons = job.world.first(lambda: cluster_neurons(weight, settings.clusters, config.seed))
        batches_of_responses = job.world.collect(lambda: responses(net, layer, neurons))
        by_picture = [answers for batch in batches_of_responses for answers in batch]
        every = np.concatenate(by_picture)
        mean, deviation = every.mean(0), every.std(0)
        clusters = [assign_parts(answers, mean, deviation, settings.rule) for answers in by_picture]
        return AlignedParts(layer=layer, neurons=neurons, mean=mean, deviation=deviation, clusters=Ragged.of(clusters))

    kept_by = [settings.clusters, settings.rule, config.seed, config.prediction_size()]
    return job.step("alignment", AlignedParts, kept_by, [classnet, chosen], compute)
