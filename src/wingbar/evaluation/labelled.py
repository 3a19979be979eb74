"""The labelled pictures of a data set that a model is evaluated on, matched to the model's classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wingbar._system.text import folded
from wingbar.data import load as load_data
from wingbar.data.checks import named
from wingbar.data.layouts.folder import split_folders
from wingbar.data.sample import Dataset, Sample
from wingbar.errors import DataError
from wingbar.model.card import Card
from wingbar.steps.data import data_settings
from wingbar.steps.store import Store


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Pictures to evaluate a model on, with the labels of the model's classes."""

    dataset: Dataset
    """Its classes are the model's, and its test split holds the pictures to evaluate on."""
    absent: tuple[str, ...]
    """Classes of the model without a picture to evaluate on."""
    unknown: dict[str, int]
    """Classes of the data set that the model does not have -> number of their pictures, which are left out."""
    strangers: tuple[Sample, ...] = ()
    """Some of those pictures, at most as many as there are to evaluate on; their labels mean nothing."""
    whole: bool = False
    """Whether all pictures of the data set are used, because it has no test split."""


def labelled_pictures(
    card: Card, data: Path | str | Dataset | None, root: Path | str | None = None
) -> LabelledPictures:
    """The pictures to evaluate on: of ``data``, by default the data set of the training; ``root`` as in `data.load`.

    Of a data set with a test split the test pictures, of any other all pictures, unless they are those that the model
    was trained on. Raises DataError where there are none, or none of a class that the model knows.
    """
    dataset = data if isinstance(data, Dataset) else _loaded(card, data, root)
    whole = not dataset.split("test")
    if whole:
        if _trained_on(card, dataset):
            raise DataError(
                f"{dataset.root}: no test pictures, and the model was trained on these; give other labelled pictures "
                "to evaluate it on, as DATA."
            )
        dataset = all_test(dataset)
    return replace(by_classes(dataset, card.classes), whole=whole)


def all_test(dataset: Dataset) -> Dataset:
    """The data set with all its pictures in the test split."""
    return replace(dataset, samples=tuple(replace(sample, split="test") for sample in dataset.samples))


def by_classes(dataset: Dataset, classes: Sequence[str]) -> LabelledPictures:
    """The data set with the labels of a model's ``classes``, which are found by name.

    Names are the same where only case, blanks or the spelling of accents differ, unless the model has two such
    classes. Raises DataError where no picture to evaluate on is left.
    """
    label = labels_by_name(dataset.classes, classes)
    samples = tuple(replace(sample, label=label[sample.label]) for sample in dataset.samples if sample.label in label)
    tests = dataset.split("test")
    unknown = Counter(dataset.classes[sample.label] for sample in tests if sample.label not in label)
    shown = {sample.label for sample in samples if sample.split == "test"}
    if not shown:
        raise DataError(
            f"{dataset.root}: its classes are not the model's. None of {len(tests)} pictures is of a class that the "
            f"model knows: theirs are {named(sorted(unknown))}, the model's {named(classes)}. "
            "Name the folders, or the labels, as the model does."
        )
    absent = tuple(name for number, name in enumerate(classes) if number not in shown)
    left_out = [sample for sample in tests if sample.label not in label]
    step = -(-len(left_out) // max(sum(sample.split == "test" for sample in samples), 1))
    return LabelledPictures(
        replace(dataset, classes=tuple(classes), samples=samples), absent, dict(sorted(unknown.items())),
        tuple(left_out[:: step or 1]),
    )  # fmt: skip


def labels_by_name(names: Sequence[str], classes: Sequence[str]) -> dict[int, int]:
    """Number of a name -> number of the class that is meant; names that no class has are not in it."""
    exact = {name: number for number, name in enumerate(classes)}
    counts = Counter(map(folded, classes))
    alike = {folded(name): number for number, name in enumerate(classes) if counts[folded(name)] == 1}
    targets = {number: exact.get(name, alike.get(folded(name))) for number, name in enumerate(names)}
    return {number: target for number, target in targets.items() if target is not None}


def _loaded(card: Card, data: Path | str | None, root: Path | str | None) -> Dataset:
    if data is not None:
        return _read(Path(data), root)
    return _read(training_source(card), card.data.images_root or None)


def training_source(card: Card) -> Path:
    """Where the data set is that a model was trained on. Raises DataError, with the remedy, where it has moved."""
    if not card.data.source:
        raise DataError("this model does not say where its pictures are: give labelled pictures, as DATA.")
    if not Path(card.data.source).exists():
        raise DataError(
            f"the data set that the model was trained on is no longer at {card.data.source!r}: "
            "give labelled pictures, or its new place, as DATA."
        )
    return Path(card.data.source)


def _read(path: Path, root: Path | str | None) -> Dataset:
    """A data set in any layout; the test folder alone where the training pictures beside it cannot be read."""
    try:
        return load_data(path, root, to_learn=False)
    except DataError:
        tests = split_folders(path).get("test") if path.is_dir() else None
        if tests is None:
            raise
        return all_test(load_data(tests, to_learn=False))


def _trained_on(card: Card, dataset: Dataset) -> bool:
    return same_pictures(card, dataset) or str(dataset.source) == card.data.source


def same_pictures(card: Card, dataset: Dataset) -> bool:
    """Whether a model was trained on these very pictures, wherever they lie now."""
    settings = data_settings(dataset, card.settings.get("validation"), card.settings.get("seed"), card.data.before)
    return card.data.key == Store(dataset.root).key("data", settings, [])
