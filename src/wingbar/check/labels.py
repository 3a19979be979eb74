"""Labels that are probably wrong, by confident learning (Northcutt, Jiang, Chuang, JAIR 2021, arXiv 1911.00068).

A class's threshold is the mean probability that pictures with its label get for it,

    t_j = mean of p_j(x) over the pictures x labelled j,

and a label is in doubt if another class reaches its own threshold and, of those that do, is the likeliest. The
probabilities must come from nets that have not seen the pictures: a net believes what it was taught.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray


def doubtful(labels: Int[ndarray, "n"], probabilities: Float[ndarray, "n classes"]) -> list[tuple[int, int]]:
    """(index, likelier class) of each doubtful label, that which its own class fits least first."""
    given = np.eye(probabilities.shape[1], dtype=bool)[labels]
    count = given.sum(0)
    threshold = np.where(count > 0, np.where(given, probabilities, 0).sum(0) / np.maximum(count, 1), np.inf)
    confident = np.where(probabilities >= threshold, probabilities, -1.0)
    likeliest = confident.argmax(1)
    rows = np.arange(len(labels))
    doubted = rows[(confident[rows, likeliest] >= 0) & (likeliest != labels)]
    margin = probabilities[doubted, labels[doubted]] - probabilities[doubted, likeliest[doubted]]
    return [(int(i), int(likeliest[i])) for i in doubted[np.argsort(margin, kind="stable")]]
