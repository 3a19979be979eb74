"""How surely `known` rejects pictures that show no bird of a run's: scikit-image's samples, noise and drawn birds.

    python benchmarks/easy_strangers.py DATA RUN...

They are told from every second test picture of the classes that a run knows. AUROC with its 95 % interval, and the
share that is taken for strangers. The test split is read once a run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data

import wingbar
from wingbar.data import load
from wingbar.data.synthetic import write_dataset
from wingbar.evaluation.evaluate import note_reading
from wingbar.evaluation.strangers import open_set_figures
from wingbar.evaluation.tables import percent, render
from wingbar.images import Source
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer

NOISE = 40


def sample_pictures() -> list[Source]:
    """The PNG and JPEG pictures that come with scikit-image."""
    return sorted(path for path in Path(skimage.data.__file__).parent.iterdir() if path.suffix in (".png", ".jpg"))


def noise() -> Iterator[Source]:
    """Pictures of independent pixels, and of blocks of them."""
    rng = np.random.default_rng(0)
    for number in range(NOISE):
        block = 2 ** (number % 5)
        pixels = rng.integers(0, 256, (240 // block, 320 // block, 3), np.uint8)
        yield pixels.repeat(block, 0).repeat(block, 1)


def drawn_birds(folder: Path) -> list[Source]:
    """Birds as the demo draws them."""
    birds = write_dataset(folder, classes=8, train=2, test=7, size=(240, 180))
    return [sample.path for sample in load(birds).split("test")]


def answers(recognizer: Recognizer, pictures: list[Source]) -> list[Prediction]:
    """Predictions of the pictures that can be read."""
    return [one.lean() for one in recognizer.predict_many(pictures) if one.error is None]


def known_of(predictions: list[Prediction]) -> np.ndarray:
    """How likely each is known."""
    return np.array([one.known for one in predictions], float)


def main() -> None:
    """Predict, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    dataset, rows = load(options.data), []
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "scikit-image's sample pictures": sample_pictures(),
            "noise": list(noise()),
            "drawn birds": drawn_birds(Path(folder) / "birds"),
        }
        for run in options.runs:
            recognizer = wingbar.load(run)
            known = [s for s in dataset.split("test") if dataset.classes[s.label] in recognizer.classes][::2]
            if recognizer.card.strangers is None:
                raise SystemExit(f"{run}: had too few pictures for a rule of what is known")
            note_reading(run, dataset, "(benchmarks/easy_strangers.py)")
            birds = answers(recognizer, [sample.path for sample in known])
            label_of = {str(sample.path): dataset.classes[sample.label] for sample in known}
            right = np.array([one.label == label_of[str(one.path)] for one in birds])
            for name, pictures in sets.items():
                strange = answers(recognizer, pictures)
                figures = open_set_figures(known_of(birds), known_of(strange), right)
                auroc = "{:.3f} ({:.3f} to {:.3f})".format(*figures.auroc)
                rows.append([run.name, name, str(len(strange)), auroc, percent(np.mean([p.stranger for p in strange]))])
    print(render(["run", "pictures", "number", "AUROC", "taken for strangers"], rows))


if __name__ == "__main__":
    main()
