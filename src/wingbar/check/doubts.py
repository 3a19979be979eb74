"""Doubtful labels, found with class probabilities that do not depend on the labels in question.

A run gives such probabilities in two ways:

* for the pictures that none of its nets was trained on, by its predictions; where validation pictures are among them,
  which the joint head and the second head of field marks have learnt from, by what their net says of object and marks;
* for the training pictures, if it started from pretrained weights, by a logistic regression on the features of the
  pretrained net, out of fold. The trained nets cannot judge these pictures, because they have learnt their labels; nor
  can a regression on the trained nets' features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wingbar._system.text import visible
from wingbar.check.audit import Finding, doubts
from wingbar.config import Config
from wingbar.data.sample import Dataset, Sample
from wingbar.data.splits import folds
from wingbar.errors import DataError, RunError
from wingbar.evaluation.evaluate import matching, note_reading
from wingbar.learning.hardware import Hardware, open_hardware
from wingbar.learning.probe import STRENGTH, features
from wingbar.learning.views import View
from wingbar.nets import create
from wingbar.prediction import Prediction
from wingbar.recognizer import Device, Recognizer, load
from wingbar.steps import held_out, settings_of
from wingbar.steps.store import Store

FOLDS = 5


def doubtful_labels(
    run: Path, dataset: Dataset, batch_size: int = 16, *, out: Path | None = None, device: Device = "auto"
) -> tuple[Finding, ...]:
    """Find doubtful labels among all pictures that the run, or its pretrained net, was not trained on.

    Args:
        run: the run folder.
        dataset: the data set that the run was trained on.
        batch_size: pictures in a batch of the prediction.
        out: the folder for the note that the test split was read, if the run's folder cannot be written to.
        device: where the nets run.

    Raises:
        RunError: the run was trained on other pictures, or ``run`` is a model folder without its run.
        DataError: the data set has other classes, or there is no picture to judge.
    """
    recognizer = load(run, device=device)
    dataset = matching(dataset, recognizer)
    if not (run / "steps").is_dir():
        raise RunError(f"{run}: a model without its run; give the run folder, which knows what was held out.")
    config = settings_of(recognizer.card, run)
    config = config if device == "auto" else replace(config, device=device)
    training, validation = held_out(dataset, config, Store(run), recognizer.card.data)
    test, findings = dataset.split("test"), []
    if config.weights != "none":
        findings.append(out_of_fold(config, dataset, training, open_hardware(config)))
        validation = ()
    if test:
        _note_reading(run, dataset, out)
    if validation or test:
        findings.append(by_predictions(recognizer, dataset, validation, test, batch_size))
    if not findings:
        raise DataError(f"{run}: it can judge no label: it was trained on every picture, without pretrained weights.")
    return tuple(findings)


def _note_reading(run: Path, dataset: Dataset, out: Path | None) -> None:
    try:
        note_reading(run, dataset, "whose labels are checked")
    except RunError:  # for example, a run on a read-only disk
        if out is None:
            raise
        note_reading(out, dataset, f"whose labels are checked by the run {visible(str(run))}")


def out_of_fold(config: Config, dataset: Dataset, samples: Sequence[Sample], hardware: Hardware) -> Finding:
    """Find doubtful labels of training pictures by a regression that was fitted to other folds.

    ``config`` gives the net, its pretrained weights, the size of the pictures and the seed of the folds.
    """
    net = create(config.net, len(dataset.classes), config.weights).to(hardware.device)
    inputs = features(net, [View(sample.path, sample.label) for sample in samples], config.size, hardware)
    labels = np.array([sample.label for sample in samples])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=200))
    cuts = folds(labels, FOLDS, config.seed)
    scores = cross_val_predict(model, inputs, labels, cv=cuts, method="predict_proba")
    basis = (
        f"Judged: all {len(samples)} training pictures, by logistic regression on the features of the weights that "
        f"the run started from, {FOLDS} folds, each picture by a fit without it; {_right(scores, labels)}."
    )
    return doubts("labels-training", "Labels in doubt, training", dataset, samples, scores, basis)


def by_predictions(
    recognizer: Recognizer, dataset: Dataset, validation: Sequence[Sample], test: Sequence[Sample], batch_size: int
) -> Finding:
    """Find doubtful labels of pictures that no net of the run was trained on, by the run's predictions.

    Raises DataError if none of the pictures can be read.
    """
    samples = (*validation, *test)
    predictions = recognizer.predict_many((sample.path for sample in samples), batch_size)
    names, net_alone = recognizer.classes, bool(validation) and recognizer.card.has_marks
    rows = [  # only the scores are kept: the maps of all pictures would fill the memory
        (sample, _of_net(prediction, names) if net_alone else [prediction.scores[name] for name in names])
        for sample, prediction in zip(samples, predictions, strict=True)
        if prediction.error is None
    ]
    if not rows:
        raise DataError(f"{dataset.root}: none of {len(samples)} pictures to judge can be read.")
    scores = np.array([row for _, row in rows])
    readable = [sample for sample, _ in rows]
    how = ", by what its net says of object and marks" if net_alone else ""
    basis = (
        f"Judged: {len(readable)} pictures that no net of the run was trained on, {len(validation)} of the validation "
        f"cut and {len(test)} of the test split{how}; "
        f"{_right(scores, np.array([sample.label for sample in readable]))}."
    )
    return doubts("labels-unseen", "Labels in doubt, not trained on", dataset, readable, scores, basis)


def _of_net(prediction: Prediction, classes: Sequence[str]) -> list[float]:
    """What the one net of field marks says of object and marks, each counting as much."""
    return [(prediction.streams["object"][name] + prediction.streams["parts"][name]) / 2 for name in classes]


def _right(scores: np.ndarray, labels: np.ndarray) -> str:
    return (
        f"{np.mean(scores.argmax(1) == labels):.1%} are predicted as labelled; the lower this share, the more doubts "
        "are wrong"
    )
