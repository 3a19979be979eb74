"""Five pictures answered as one: together, by the surest, by most of them, by their product.

    python benchmarks/occasions.py DATA RUN...

No public set at hand has real bursts, so both ends of what a burst may be are made from test pictures: five frames of
one photograph, each cut, turned in brightness and blurred anew; and five other photographs of one
species. A real burst lies between. The test split is read once a run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy import ndarray
from PIL import Image, ImageEnhance, ImageFilter
from scipy.special import log_softmax

import wingbar
from wingbar.data import load
from wingbar.data.sample import Sample
from wingbar.evaluation import mean_interval
from wingbar.evaluation.calibration import expected_error
from wingbar.evaluation.tables import percent, percent_interval, render
from wingbar.opam.calibration import LEAST
from wingbar.opam.pooling import pool_occasion

FRAMES = 5


def frames_of(path: Path, rng: np.random.Generator) -> Iterator[Image.Image]:
    """A photograph as a burst has it: cut to 75 to 100 % of its sides, brighter or darker, more or less sharp."""
    whole = Image.open(path).convert("RGB")
    for _ in range(FRAMES):
        share = rng.uniform(0.75, 1)
        width, height = round(share * whole.width), round(share * whole.height)
        left, top = rng.integers(whole.width - width + 1), rng.integers(whole.height - height + 1)
        frame = whole.crop((left, top, left + width, top + height))
        frame = ImageEnhance.Brightness(frame).enhance(rng.uniform(0.7, 1.3))
        yield frame.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.5)))


def others_of(samples: list[Sample], rng: np.random.Generator) -> list[list[int]]:
    """Five photographs of one species at a time, each photograph once."""
    labels = np.array([sample.label for sample in samples])
    shuffled = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    return [rows[i : i + FRAMES].tolist() for rows in shuffled for i in range(0, len(rows) - FRAMES + 1, FRAMES)]


def ways(scores: ndarray) -> dict[str, ndarray]:
    """Probabilities of the classes by each way to answer (pictures, classes) ``scores``."""
    logs = np.log(np.maximum(scores, LEAST))
    votes = np.bincount(scores.argmax(1), minlength=scores.shape[1]) + 1e-3 * scores.max(0)
    return {
        "the first picture alone": scores[0],
        "all together (`--by-occasion`)": pool_occasion(scores),
        "the surest picture": scores[scores.max(1).argmax()],
        "most pictures": votes / votes.sum(),
        "product": np.exp(log_softmax(logs.sum(0))),
    }


def rows_of(name: str, occasions: list[ndarray], labels: ndarray) -> list[list[str]]:
    """Accuracy, NLL, mean score and ECE of each way."""
    rows = []
    answers = [ways(one) for one in occasions]
    for way in answers[0]:
        scores = np.stack([one[way] for one in answers])
        right, likely = scores.argmax(1) == labels, scores.max(1)
        loss = -np.log(np.maximum(scores[np.arange(len(labels)), labels], LEAST)).mean()
        figures = percent_interval(*mean_interval(right)), f"{loss:.3f}", f"{likely.mean():.3f}"
        rows.append([name, way, str(len(labels)), *figures, percent(expected_error(likely, right))])
    return rows


def main() -> None:
    """Answer, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    frames, others, labels, of_others = [], [], [], []
    for number, run in enumerate(options.runs):
        recognizer, rng = wingbar.load(run), np.random.default_rng(number)
        known = load(options.data).first_classes(len(recognizer.classes))
        assert known.classes == recognizer.classes, "the run has other classes than the first ones"
        samples = known.split("test")

        def scores_of(pictures: list[Path] | list[Image.Image], by: wingbar.Recognizer = recognizer) -> ndarray:
            return np.array([[one.scores[name] for name in by.classes] for one in by.predict_many(pictures)])

        frames += [scores_of(list(frames_of(sample.path, rng))) for sample in samples]
        labels += [sample.label for sample in samples]
        alone = scores_of([sample.path for sample in samples])
        chosen = others_of(samples, rng)
        others += [alone[rows] for rows in chosen]
        of_others += [samples[rows[0]].label for rows in chosen]
    rows = rows_of("frames of one photograph", frames, np.array(labels))
    rows += rows_of("other photographs", others, np.array(of_others))
    header = ("five pictures are", "answered by", "answers", "right (95 % interval)", "NLL", "mean score", "ECE")
    print(render(header, rows))


if __name__ == "__main__":
    main()
