"""Labels in doubt, by a run's own predictions of the pictures that none of its nets was trained on.

Those are the test split and the validation cut. The other training pictures cannot be judged by this run: its nets
give them the labels they were taught, wrong ones too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wingbar.config import read_config
from wingbar.data.audit import Finding, doubts
from wingbar.data.sample import Dataset
from wingbar.errors import DataError, RunError
from wingbar.evaluation.judge import note_reading, of_model
from wingbar.recognizer import load
from wingbar.steps import held_out
from wingbar.store import Store


def judge_labels(run: Path, dataset: Dataset, batch_size: int = 16) -> Finding:
    """Predict what the run has not seen of its data set, and doubt the labels that the predictions contradict.

    Raises RunError for a run on other training pictures, and DataError for other classes or nothing to judge.
    """
    recognizer = load(run)
    dataset = of_model(recognizer, dataset)
    if not (run / "config.toml").is_file():
        raise RunError(f"{run}: a model without its run; give the run folder, which knows what was held out.")
    validation = held_out(dataset, read_config(run / "config.toml"), Store(run))
    if validation is None:
        raise RunError(f"{run}: was not trained on the pictures of {dataset.root}; give the run that was.")
    test = dataset.split("test")
    if test:
        note_reading(run, dataset, "whose labels are checked")
    samples = (*validation, *test)
    predictions = recognizer.predict_many((sample.path for sample in samples), batch_size)
    judged = [(s, p) for s, p in zip(samples, predictions, strict=True) if p.error is None]
    if not judged:
        raise DataError(f"{dataset.root}: the run has seen every picture, so it can judge no label; add a test split.")
    kept, named = zip(*judged, strict=True)
    scores = np.array([[one.scores[name] for name in recognizer.classes] for one in named])
    right = np.mean([one.label == recognizer.classes[s.label] for s, one in judged])
    told = (
        f"Judged: {len(kept)} pictures that no net of the run was trained on ({len(validation)} of the validation "
        f"cut, {len(test)} of the test split); it gives {right:.1%} of them their label."
    )
    return doubts(dataset, kept, scores, told)
