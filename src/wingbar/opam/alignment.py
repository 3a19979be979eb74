"""Alignment: which part of the object a part box shows (OPAM, section III.C.2).

Neurons are the filters of ClassNet's penultimate convolution. Their cosine similarities

    S(i, j) = w_i . w_j / (|w_i| |w_j|)

are cut into m groups by spectral clustering, and a part belongs to the group that answers it most.

Where we differ: groups are uneven, so that the paper's sum of activations favours the large one. We compare
group means, standardised over the training parts, and give the parts of one picture to different groups
(a one-to-one assignment). The literal rule stays as ``rule="sum"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar._system.settings import within
from wingbar.opam.maps import pool_boxes

AlignmentRule = Literal["one-to-one", "sum"]


@dataclass(frozen=True)
class AlignmentSettings:
    """Which place of the object a part shows."""

    clusters: int = 2
    """Groups of neurons that parts are aligned with."""
    rule: AlignmentRule = "one-to-one"
    """How a part finds its cluster: ours, or the paper's literal rule."""
    heads: Literal["shared", "per-cluster"] = "shared"
    """One PartNet head, or one for each cluster."""

    def __post_init__(self) -> None:
        within(self, "alignment", clusters=(1, 32))


@dataclass(frozen=True)
class Alignment:
    """The neurons' clusters and how strongly training parts excite each."""

    layer: str
    """Name of ClassNet's penultimate convolution."""
    neurons: Int[ndarray, "neurons"]
    """Cluster of each neuron."""
    mean: Float[ndarray, "clusters"]
    deviation: Float[ndarray, "clusters"]


def align_parts(
    neurons_map: Float[ndarray, "neurons h w"],
    boxes: Int[ndarray, "parts 4"],
    size: tuple[int, int],
    alignment: Alignment,
    settings: AlignmentSettings,
) -> Int[ndarray, "parts"]:
    """The cluster of each part of one picture, by the neurons' responses within it."""
    pooled = pool_boxes(neurons_map, boxes, size)
    answers = cluster_responses(pooled, alignment.neurons, settings.clusters, settings.rule)
    return assign_parts(answers, alignment.mean, alignment.deviation, settings.rule)


def logits_by_cluster(logits: Any, clusters: Any, classes: int) -> Any:
    """The logits ``[n, classes]`` of ``n`` views of parts, each from the head of its cluster.

    ``logits`` ``[n, heads * classes]`` are those of all heads, ``clusters`` ``[n]`` are whole numbers; for cluster -1
    the result is the mean over the heads. Both are arrays, or tensors on one device, which keep their gradients. With
    one head there is nothing to choose, and its logits are returned as they are.
    """
    if logits.shape[1] == classes:
        return logits
    heads = logits.reshape(len(logits), -1, classes)
    has_head = (clusters >= 0)[:, None]
    return heads[range(len(heads)), clusters] * has_head + heads.mean(1) * ~has_head


def similarity(weight: Float[ndarray, "neurons inputs"]) -> Float[ndarray, "neurons neurons"]:
    """Cosine similarity of the neurons' weights; a neuron of zero weight is like no other."""
    norms = np.linalg.norm(weight, axis=1, keepdims=True)
    unit = weight / np.maximum(norms, 1e-12)
    return unit @ unit.T


def cluster_neurons(
    weight: Float[ndarray, "neurons inputs"], clusters: int = 2, seed: int = 0
) -> Int[ndarray, "neurons"]:
    """Each neuron's cluster, numbered by size, the largest first."""
    from sklearn.cluster import SpectralClustering  # as models are learnt only

    affinity = (1 + similarity(weight)) / 2
    model = SpectralClustering(clusters, affinity="precomputed", random_state=seed, assign_labels="kmeans")
    labels = model.fit_predict(affinity)
    by_size = np.argsort(-np.bincount(labels, minlength=clusters), kind="stable")
    return np.argsort(by_size)[labels]


def cluster_responses(
    responses: Float[ndarray, "parts neurons"],
    assignment: Int[ndarray, "neurons"],
    clusters: int,
    rule: AlignmentRule = "one-to-one",
) -> Float[ndarray, "parts clusters"]:
    """How much each cluster answers each part: mean activation (sum for the paper's literal rule)."""
    members = np.eye(clusters)[assignment]
    sums = responses @ members
    return sums if rule == "sum" else sums / np.maximum(members.sum(0), 1)


def assign_parts(
    responses: Float[ndarray, "parts clusters"],
    mean: Float[ndarray, "clusters"],
    deviation: Float[ndarray, "clusters"],
    rule: AlignmentRule = "one-to-one",
) -> Int[ndarray, "parts"]:
    """The cluster of each part of ONE picture.

    ``mean`` and ``deviation`` are those of the training parts' responses. Parts beyond the number of
    clusters go to the cluster that answers them most.
    """
    from scipy.optimize import linear_sum_assignment  # imported here because only OPAM needs it

    if rule == "sum":
        return responses.argmax(1)
    standard = (responses - mean) / np.maximum(deviation, 1e-12)
    clusters = standard.argmax(1)
    parts, chosen = linear_sum_assignment(standard, maximize=True)
    clusters[parts] = chosen
    return clusters
