"""What the order of review is worth: accuracy against labels spent, in rounds, by several orders.

    python benchmarks/review_order.py DATA/cub50 OUT --seeds 0 1 2 3 4

Features of a pretrained net stay as they are; each round a linear head is fitted again to what is labelled so far, all
pictures that are left are ordered by its answers, and the first of them are labelled. Training pictures alone are used:
of each class a share is held out, by which the head is judged. The features are kept in OUT.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy import ndarray
from scipy.special import log_softmax

from wingbar._system.distributed import ALONE
from wingbar.config import Config
from wingbar.data import load
from wingbar.data.sample import Dataset
from wingbar.data.splits import validation_split
from wingbar.evaluation.tables import render
from wingbar.learning.hardware import open_hardware
from wingbar.learning.probe import features
from wingbar.learning.views import View
from wingbar.nets import create
from wingbar.opam.calibration import fit_temperature
from wingbar.opam.maps import unit
from wingbar.serve.review.worth import doubt, order_of_worth

HELD, FIRST = 0.4, 2
"""Share of each class's pictures that the head is judged by, and pictures of each class that are labelled at first."""
STRENGTH = 0.3
"""Of the ridge, in units of the mean variance of a picture's features."""

Scores = ndarray
Order = Callable[[Scores, ndarray, ndarray, np.random.Generator], list[int]]
"""Scores and directions of the pictures that are left, directions of the labelled ones -> places in their order."""


def doubts_of(scores: Scores) -> ndarray:
    return np.array([doubt(dict(enumerate(row))) for row in scores])


def ours(scores: Scores, left: ndarray, labelled: ndarray, draw: np.random.Generator) -> list[int]:
    return order_of_worth(doubts_of(scores), left, labelled)


def by_distance(scores: Scores, left: ndarray, labelled: ndarray, draw: np.random.Generator) -> list[int]:
    return order_by(doubts_of(scores), left, np.ones(len(left)))


def doubt_alone(scores: Scores, left: ndarray, labelled: ndarray, draw: np.random.Generator) -> list[int]:
    return np.argsort(-doubts_of(scores), kind="stable").tolist()


def k_centre(scores: Scores, left: ndarray, labelled: ndarray, draw: np.random.Generator) -> list[int]:
    return order_by(np.ones(len(left)), left, (1 - left @ labelled.T).min(1))


def at_random(scores: Scores, left: ndarray, labelled: ndarray, draw: np.random.Generator) -> list[int]:
    return draw.permutation(len(left)).tolist()


def order_by(doubts: ndarray, left: ndarray, nearest: ndarray) -> list[int]:
    """The greedy order by doubt times distance, with distances that begin at ``nearest``."""
    waiting, chosen = np.ones(len(left), bool), []
    for _ in range(len(left)):
        one = int(np.where(waiting, (doubts + 1e-6) * (nearest + 1e-6), -1).argmax())
        chosen.append(one)
        waiting[one] = False
        nearest = np.minimum(nearest, np.maximum(1 - left @ left[one], 0))
    return chosen


ORDERS: dict[str, Order] = {
    "random": at_random,
    "k-centre": k_centre,
    "doubt alone": doubt_alone,
    "doubt x likeness (review)": ours,
    "doubt x distance": by_distance,
}


def fitted(inputs: ndarray, labels: ndarray, classes: int) -> tuple[ndarray, ndarray]:
    """A ridge regression on the classes as weight and bias, in units in which its answers are calibrated.

    The temperature is that of answers by regressions that have not seen the picture, which have a closed form.
    """
    targets, middle = np.eye(classes)[labels] - 1 / classes, inputs.mean(0)
    centred = inputs - middle
    products = centred @ centred.T
    strength = STRENGTH * np.trace(products) / len(labels) * np.eye(len(labels))
    dual = np.linalg.solve(products + strength, targets)
    leverage = np.diag(np.linalg.solve(products + strength, products))[:, None]
    unseen = targets - (targets - products @ dual) / (1 - leverage)
    temperature = fit_temperature(unseen, labels)
    weight = (centred.T @ dual).T / temperature
    return weight, -weight @ middle


def accuracies(
    inputs: ndarray, unit: ndarray, labels: ndarray, order: Order, seed: int, batch: int, rounds: int
) -> list[float]:
    """The accuracy on held-out pictures with the first labels, and after each round."""
    pool, held = validation_split(labels, HELD, seed)
    draw = np.random.default_rng(seed)
    first = np.concatenate([draw.permutation(pool[labels[pool] == one])[:FIRST] for one in np.unique(labels)])
    labelled, measured = list(first), []
    for _ in range(rounds + 1):
        weight, bias = fitted(inputs[labelled], labels[labelled], labels.max() + 1)
        measured.append(float(((inputs[held] @ weight.T + bias).argmax(1) == labels[held]).mean()))
        left = np.setdiff1d(pool, labelled)
        scores = np.exp(log_softmax(inputs[left] @ weight.T + bias, axis=1))
        labelled += left[order(scores, unit[left], unit[labelled], draw)[:batch]].tolist()
    return measured


def net_features(dataset: Dataset, config: Config, file: Path) -> ndarray:
    """Pooled features of the training pictures, from the file if it is there."""
    if not file.exists():
        net = create(config.net, len(dataset.classes), config.weights)
        views = [View(sample.path, sample.label) for sample in dataset.split("train")]
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, features(net, views, config.size, open_hardware(config, ALONE)))
    return np.load(file)


def main() -> None:
    """Print the mean accuracies of all orders, and how they differ from random, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--net", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    dataset = load(options.data)
    config = Config(net=options.net, size=options.size, workers=0)
    inputs = net_features(dataset, config, options.out / f"{options.net}-{options.size}.npy").astype(np.float64)
    labels, vectors = np.array([sample.label for sample in dataset.split("train")]), unit(inputs)
    measured = {
        name: np.array(
            [accuracies(inputs, vectors, labels, order, seed, options.batch, options.rounds) for seed in options.seeds]
        )
        for name, order in ORDERS.items()
    }
    spent = [FIRST * len(dataset.classes) + options.batch * round_ for round_ in range(options.rounds + 1)]
    rows = []
    for name, values in measured.items():
        gain = values[:, 1:].mean(1) - measured["random"][:, 1:].mean(1)
        error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
        rows.append(
            [name, *(f"{100 * one:.1f}" for one in values.mean(0)), f"{100 * gain.mean():+.1f} +- {100 * error:.1f}"]
        )
    print(render(["order", *map(str, spent), "mean gain on random"], rows))


if __name__ == "__main__":
    main()
