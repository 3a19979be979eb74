"""Alignment: similarity against scikit-learn, clusters against planted groups, assignment against brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_similarity

from wingbar.opam.alignment import assign_parts, cluster_neurons, cluster_responses, logits_by_cluster, similarity


def test_similarity_is_scikit_learns() -> None:
    weight = np.random.default_rng(0).normal(size=(20, 9))
    np.testing.assert_allclose(similarity(weight), cosine_similarity(weight), atol=1e-12)


@pytest.mark.parametrize("sizes", [(30, 10), (15, 15), (20, 12, 8)])
def test_planted_groups_are_found_largest_first(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    planted = np.repeat(np.arange(len(sizes)), sizes)
    weight = np.eye(len(sizes), 12)[planted] + 0.05 * rng.normal(size=(len(planted), 12))
    shuffled = rng.permutation(len(planted))
    result = cluster_neurons(weight[shuffled], clusters=len(sizes))
    assert adjusted_rand_score(planted[shuffled], result) == 1
    assert (np.diff(np.bincount(result)) <= 0).all()


def test_responses_are_means_or_the_papers_sums() -> None:
    responses = np.random.default_rng(0).random((4, 5))
    assignment = np.array([0, 0, 0, 1, 1])
    means = cluster_responses(responses, assignment, 2)
    np.testing.assert_allclose(means[:, 0], responses[:, :3].mean(1))
    sums = cluster_responses(responses, assignment, 2, "sum")
    np.testing.assert_allclose(sums[:, 1], responses[:, 3:].sum(1))


def test_the_literal_rule_favours_the_large_cluster_and_ours_does_not() -> None:
    responses = np.ones((2, 10))
    responses[1, 8:] = 3.0  # the second part excites the small cluster
    assignment = np.array([0] * 8 + [1] * 2)
    literal = assign_parts(cluster_responses(responses, assignment, 2, "sum"), np.zeros(2), np.ones(2), "sum")
    ours = assign_parts(cluster_responses(responses, assignment, 2), np.ones(2), np.ones(2))
    assert literal.tolist() == [0, 0]
    assert ours.tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(20))
def test_assignment_is_the_best_one_to_one(seed: int) -> None:
    responses = np.random.default_rng(seed).normal(size=(3, 3))
    mean, deviation = np.array([0.1, -0.2, 0.0]), np.array([1.0, 2.0, 0.5])
    standard = (responses - mean) / deviation
    best = max(permutations(range(3)), key=lambda order: sum(standard[i, c] for i, c in enumerate(order)))
    assert tuple(assign_parts(responses, mean, deviation)) == best


@pytest.mark.parametrize("parts", [0, 1, 2, 3, 4])
def test_any_number_of_parts(parts: int) -> None:
    responses = np.random.default_rng(0).random((parts, 2))
    clusters = assign_parts(responses, np.zeros(2), np.ones(2))
    assert clusters.shape == (parts,) and set(clusters.tolist()) <= {0, 1}
    assert len(set(clusters.tolist())) == min(parts, 2)


@pytest.mark.parametrize("made", [np.array, torch.tensor])
def test_each_part_has_the_logits_of_its_clusters_head(made) -> None:
    logits = made([[0.0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]])  # two heads of three classes
    assert logits_by_cluster(logits, made([1, 0]), 3).tolist() == [[3, 4, 5], [6, 7, 8]]
    assert logits_by_cluster(logits, made([-1, 1]), 3).tolist() == [[1.5, 2.5, 3.5], [9, 10, 11]]
    assert logits_by_cluster(logits, made([-1, -1]), 6) is logits
