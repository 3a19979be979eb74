"""What a discriminant alone gives: a plain net on the test pictures by its own head, and with a second head.

    python benchmarks/plain_head.py DATA PLAIN FIELD_MARKS

PLAIN and FIELD_MARKS are runs of one seed; both have been evaluated. The second head is that of `wingbar.opam.joint`,
which learns from held-out pictures too; the temperatures are fitted to these, each told by a head that has not seen it.
The test split is read once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy import ndarray

import wingbar
from wingbar.data import load
from wingbar.data.sample import Sample
from wingbar.evaluation import error_reduction, mean_interval
from wingbar.evaluation.evaluate import matching, note_reading
from wingbar.evaluation.tables import percent_interval, render
from wingbar.images import cut_squares, read_picture
from wingbar.opam.calibration import fit_temperature, held_folds, mean_loss
from wingbar.opam.joint import Known, fit_heads
from wingbar.recognizer import Recognizer
from wingbar.steps.data import held_out
from wingbar.steps.model import settings_of
from wingbar.steps.reading import some_of_each
from wingbar.steps.store import Store

AT_ONCE = 16


def read(recognizer: Recognizer, samples: Sequence[Sample]) -> tuple[ndarray, ndarray]:
    """What the head says of each picture and its mirror, and what it sees, ``[pictures, 1, channels]``."""
    outputs = []
    for first in range(0, len(samples), AT_ONCE):
        pictures = [read_picture(sample.path) for sample in samples[first : first + AT_ONCE]]
        squares = cut_squares(pictures, [None] * len(pictures), recognizer.card.picture_size)
        outputs.append(recognizer.runtime.picture(squares))
    logits, features = (np.concatenate([getattr(one, name) for one in outputs]) for name in ("logits", "features"))
    return logits, features[:, None]


def right_of(run: Path) -> ndarray:
    """Which test pictures a run names rightly, as its evaluation says. Raises ValueError for that of another model."""
    judged = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    if judged["model"] != wingbar.load(run).card.digest():
        raise ValueError(f"{run}: its evaluation is of another model; evaluate it again")
    return np.array(judged["correct"], float)


def labels_of(samples: Sequence[Sample]) -> ndarray:
    """Their classes, as numbers."""
    return np.array([sample.label for sample in samples])


def main() -> None:
    """Fit, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("plain", type=Path)
    parser.add_argument("field_marks", type=Path)
    options = parser.parse_args()
    recognizer, ours = wingbar.load(options.plain), right_of(options.field_marks)
    card, dataset = recognizer.card, matching(load(options.data), recognizer)
    readable, held = held_out(dataset, settings_of(card, options.plain), Store(options.plain), card.data)
    kept = set(held)
    training = [sample for sample in readable if sample not in kept]
    fitted = [training[i] for i in some_of_each(labels_of(training), np.arange(len(training)))]
    learnt, of_held = (Known(*read(recognizer, some), labels_of(some)) for some in (fitted, held))
    heads = fit_heads(learnt, of_held, held_folds(len(held), settings_of(card, options.plain).seed, None))
    note_reading(options.plain, dataset, "(benchmarks/plain_head.py)")
    asked, shown = read(recognizer, test := dataset.split("test"))
    ways = {
        "its own head": (of_held.logits, asked),
        "and a second": (of_held.logits + heads.second_held, asked + heads.second.logits(shown)),
    }
    rows = []
    for name, (validation, judged) in ways.items():
        logits = judged / fit_temperature(validation, labels_of(held))
        right = (logits.argmax(1) == labels_of(test)).astype(float)
        removed = error_reduction(right, ours)
        against = percent_interval(*removed) if removed else "-"
        rows.append(
            [name, percent_interval(*mean_interval(right)), f"{mean_loss(logits, labels_of(test)):.3f}", against]
        )
    print(render(["plain net", "top-1 (95 % interval)", "NLL", "errors removed by field marks"], rows))


if __name__ == "__main__":
    main()
