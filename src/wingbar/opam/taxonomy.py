"""Genus, family, group: where the class cannot be told, the answer is a larger group that can.

The named class lies in groups: its genus, its family. A group's score is the sum of its classes' calibrated scores. The
answer is the first of class, genus, family, ... whose score reaches that level's threshold; where none does, there is
no answer. So it lies on the lineage of the named class (the climbing rule of Goren, Galil, El-Yaniv, "Hierarchical
selective classification", NeurIPS 2024). A group of one class says no more than the class, one of all classes says
nothing: they are passed over.

Thresholds are found level by level, on held-out pictures that no level before has answered. A level's threshold is the
smallest t at which its answers, those with a score of at least t, are right in the share that is asked for:

    (r + m s) / (n + m + 1) >= accuracy

n answers have a score of at least t, r of them are right, and s is their mean score. The scores count like m = `PRIOR`
pictures, since above the class few held-out pictures are left; the one stands for the next picture, taken for wrong.
Deviation: Goren et al. use one threshold for all levels, and count a picture without an answer as answered rightly.

Without a taxonomy the groups are look-alikes: classes that share scores on held-out pictures, joined by average linkage
until half as many groups are left, and then a quarter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from wingbar._system.text import display_names
from wingbar.data.sample import Taxonomy

PRIOR = 50
KEPT = 2000
"""Held-out pictures that a model keeps, at most."""
CLASS = "class"
"""The name of the first level."""
LOOK_ALIKES = {2: "look-alikes", 4: "wider look-alikes"}
"""Of learnt groups: by what the number of classes is divided -> the level's name."""
SHOWN = 3
"""Classes that the name of a learnt group names."""


@dataclass(frozen=True)
class Lineages:
    """What a model keeps of a taxonomy: in which groups its classes lie, and its answers to held-out pictures."""

    levels: tuple[str, ...]
    """``class``, ``genus``, ...: the most precise first."""
    rows: tuple[tuple[str, ...], ...]
    """Of each class of the model its own name, and its group's at each further level; empty where it has none."""
    scores: tuple[tuple[float, ...], ...]
    """Of each held-out picture the score of its named class, and of that class's groups; zero where it has none."""
    right: tuple[int, ...]
    """Of each held-out picture the first level at which the answer is right; the number of levels where none is."""

    def lineage(self, name: str) -> list[tuple[int, frozenset[str]]]:
        """The class and its groups, each with its level and its classes.

        Groups no larger than the one before, and those of all classes, say nothing and are left out. Raises ValueError
        for a class that the model does not have.
        """
        row = next((row for row in self.rows if row[0] == name), None)
        if row is None:
            raise ValueError(f"no class {name!r}")
        groups = [(0, frozenset([name]))]
        for level in range(1, len(self.levels)):
            members = frozenset(other[0] for other in self.rows if row[level] and other[level] == row[level])
            if len(groups[-1][1]) < len(members) < len(self.rows):
                groups.append((level, members))
        return groups


def fit_lineages(
    taxonomy: Taxonomy | None,
    classes: Sequence[str],
    probabilities: Float[ndarray, "n classes"],
    labels: Int[ndarray, "n"],
) -> Lineages:
    """The lineages of some classes, and how well they are told on held-out pictures, given their calibrated scores.

    Raises KeyError for a class that the ``taxonomy`` lacks.
    """
    taxonomy = look_alikes(classes, probabilities, labels) if taxonomy is None else taxonomy
    rows = tuple((name, *taxonomy.groups[name]) for name in classes)
    empty = Lineages((CLASS, *taxonomy.levels), rows, (), ())
    places = np.linspace(0, len(labels) - 1, min(len(labels), KEPT)).round().astype(np.int64)
    scores, right = [], []
    for place in places.tolist():
        ranked = {name: float(score) for name, score in zip(classes, probabilities[place], strict=True)}
        row, truth = [0.0] * len(empty.levels), len(empty.levels)
        for level, members in reversed(empty.lineage(max(ranked, key=ranked.__getitem__))):
            row[level] = round(min(sum(ranked[name] for name in members), 1.0), 6)
            truth = level if classes[labels[place]] in members else truth
        scores.append(tuple(row))
        right.append(truth)
    return Lineages(empty.levels, rows, tuple(scores), tuple(right))


@lru_cache(maxsize=64)
def thresholds(lineages: Lineages, accuracy: float) -> tuple[float, ...]:
    """The least score of an answer at each level; infinite where no score is enough."""
    scores = np.array(lineages.scores).reshape(-1, len(lineages.levels))
    first_right, unanswered, cuts = np.array(lineages.right), np.ones(len(scores), bool), []
    for level in range(len(lineages.levels)):
        tried = unanswered & (scores[:, level] > 0)
        least = least_score(scores[tried, level], first_right[tried] <= level, accuracy)
        unanswered &= ~(tried & (scores[:, level] >= least))
        cuts.append(least)
    return tuple(cuts)


def least_score(scores: Float[ndarray, "n"], right: ndarray, accuracy: float) -> float:
    """The smallest of the ``scores`` from which on the answers are right often enough; infinite where none is."""
    order = np.argsort(-scores, kind="stable")
    ranked, count = scores[order], np.arange(1, len(scores) + 1)
    estimate = (np.cumsum(right[order]) + PRIOR * np.cumsum(ranked) / count) / (count + PRIOR + 1)
    whole = np.append(ranked[:-1] > ranked[1:], True)[: len(ranked)]  # no cut among equal scores
    enough = np.flatnonzero((estimate >= accuracy) & whole)
    return float(ranked[enough[-1]]) if len(enough) else math.inf


def climb(
    lineages: Lineages, scores: Mapping[str, float], accuracy: float
) -> tuple[list[tuple[int, frozenset[str], float, float]], bool]:
    """The levels that are tried for one picture, and whether the last one is the answer.

    Each has its number, its classes, its score and the score that it needs. ``scores`` are in descending order; a class
    without one, which does not live at the place, has none.
    """
    needed, tried = thresholds(lineages, accuracy), []
    for level, members in lineages.lineage(next(iter(scores))):
        score = round(min(sum(scores.get(name, 0.0) for name in members), 1.0), 6)
        tried.append((level, members, score, needed[level]))
        if score >= needed[level]:
            return tried, True
    return tried, False


def look_alikes(
    classes: Sequence[str], probabilities: Float[ndarray, "n classes"], labels: Int[ndarray, "n"]
) -> Taxonomy:
    """Groups of classes that share scores on held-out pictures; no levels where classes or pictures are too few."""
    from scipy.cluster.hierarchy import fcluster, linkage  # as models are learnt only
    from scipy.spatial.distance import squareform

    count = len(classes)
    parts = [part for part in LOOK_ALIKES if count // part >= 2] if len(labels) else []
    if not parts:
        return Taxonomy((), dict.fromkeys(classes, ()))
    sure = np.eye(count)
    shares = np.stack(
        [probabilities[labels == label].mean(0) if (labels == label).any() else sure[label] for label in range(count)]
    )
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    numbers = [fcluster(tree, count // part, "maxclust") for part in parts]
    names = [_group_names(classes, groups) for groups in numbers]
    groups = {name: tuple(level[place] for level in names) for place, name in enumerate(classes)}
    return Taxonomy(tuple(LOOK_ALIKES[part] for part in parts), groups)


def _group_names(classes: Sequence[str], numbers: Int[ndarray, "classes"]) -> list[str]:
    """The name of each class's group: its first classes."""
    shown = np.array(display_names(classes), dtype=object)
    named = {}
    for number in np.unique(numbers).tolist():
        members = shown[numbers == number].tolist()
        rest = len(members) - SHOWN
        named[number] = ", ".join(members[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
    return [named[number] for number in numbers.tolist()]
