"""Alignment: which part of the object a part box shows (OPAM, section III.C.2).

Neurons are the filters of ClassNet's penultimate convolution. Their cosine similarities

    S(i, j) = w_i . w_j / (|w_i| |w_j|)

are cut into m groups by spectral clustering, and a part belongs to the group that answers it most.

Where we differ: groups are uneven, so that the paper's sum of activations favours the large one. We compare
group means, standardised over the training parts, and give the parts of one picture to different groups
(a one-to-one assignment). The literal rule stays as ``rule="sum"``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import SpectralClustering

AlignmentRule = Literal["one-to-one", "sum"]


def similarity(weight: Float[ndarray, "neurons inputs"]) -> Float[ndarray, "neurons neurons"]:
    """Cosine similarity of the neurons' weights; a neuron of zero weight is like no other."""
    norms = np.linalg.norm(weight, axis=1, keepdims=True)
    unit = weight / np.maximum(norms, 1e-12)
    return unit @ unit.T


def cluster_neurons(
    weight: Float[ndarray, "neurons inputs"], clusters: int = 2, seed: int = 0
) -> Int[ndarray, "neurons"]:
    """Each neuron's cluster, numbered by size, the largest first."""
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
    if rule == "sum":
        return responses.argmax(1)
    standard = (responses - mean) / np.maximum(deviation, 1e-12)
    clusters = standard.argmax(1)
    parts, chosen = linear_sum_assignment(standard, maximize=True)
    clusters[parts] = chosen
    return clusters
