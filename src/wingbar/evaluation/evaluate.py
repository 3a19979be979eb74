"""Evaluation of a run on a test split, written to `evaluation.json`. No other code measures one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from wingbar._system.distributed import ALONE, World, opened
from wingbar._system.files import make_folder, write_record, writing
from wingbar._system.locks import locked
from wingbar.boxes import clip
from wingbar.data.folders import skipped_lines
from wingbar.data.layouts.annotations import with_boxes
from wingbar.data.occasions import groups_of, taken
from wingbar.data.sample import Dataset, Sample
from wingbar.errors import ConfigError, DataError, PictureError, RunError
from wingbar.evaluation.answers import AnswersReport, answers_report
from wingbar.evaluation.calibration import CalibrationReport, calibration_report
from wingbar.evaluation.classification import ClassificationReport, classify, correct, stream_combinations
from wingbar.evaluation.evidence import EvidenceReport, evidence_report
from wingbar.evaluation.labelled import LabelledPictures, labelled_pictures, labels_by_name
from wingbar.evaluation.localization import LocalizationReport, MaxBoxAcc, best_centre_share, localize
from wingbar.evaluation.occasions import OccasionsReport, occasions_report
from wingbar.evaluation.parts import PartsReport, PictureParts, evaluate_parts
from wingbar.evaluation.strangers import StrangersReport, strangers_report
from wingbar.explain.erasing import erasures
from wingbar.images import READ_SIDE, picture_size, read_picture
from wingbar.model.card import FILE
from wingbar.prediction import Prediction
from wingbar.recognizer import Device, Recognizer, load_together, predict_together

ERASED = 50
"""Test pictures in which the parts shown are erased, to see whether they matter."""


@dataclass(frozen=True)
class Named:
    """One test picture with its label and its prediction."""

    key: str
    label: str
    predicted: str
    score: float
    """Fused probability of the predicted class."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All figures of a run on one test split. Shares are in [0, 1]."""

    classification: ClassificationReport
    calibration: CalibrationReport
    """Whether the scores mean what they say."""
    combinations: dict[str, float]
    """Top-1 of each stream alone and each combination."""
    localization: LocalizationReport | None
    """None for a data set without boxes."""
    parts: PartsReport | None
    """None for a data set without keypoints, or a run without parts."""
    evidence: EvidenceReport | None
    """What erasing the parts costs; None for a run without parts, or where it was not asked for."""
    correct: tuple[bool, ...]
    """Whether each test picture is named rightly, in the data set's order: for paired comparisons."""
    failures: tuple[tuple[str, str], ...]
    """Pictures that could not be read, and why."""
    source: str
    """Data set whose test split was read."""
    pictures: tuple[Named, ...]
    """Every readable test picture, in the data set's order."""
    occasions: OccasionsReport | None = None
    """By occasion; None where no two pictures were taken together."""
    answers: AnswersReport | None = None
    """How many pictures are told by class, genus, family at an accuracy; None for a model that cannot keep it."""
    strangers: StrangersReport | None = None
    """Whether pictures of unknown classes are told; None for a model that cannot."""
    absent: tuple[str, ...] = ()
    """Classes of the model that no picture shows: their recall is unknown."""
    unknown: Mapping[str, int] = field(default_factory=dict)
    """Classes that the model does not know, and how many pictures of each were left out."""
    whole: bool = False
    """Whether all pictures of a data set without a test split were used."""
    skipped: tuple[str, ...] = ()
    """What lay among the pictures and was not taken, with the reasons, as lines: other files, damaged headers."""
    folder: Path | None = None
    """Where `evaluation.json` lies; None where nothing was kept."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "classification": self.classification.to_dict(),
            "calibration": self.calibration.to_dict(),
            "combinations": self.combinations,
            "localization": self.localization.to_dict() if self.localization else None,
            "parts": self.parts.to_dict() if self.parts else None,
            "evidence": self.evidence.to_dict() if self.evidence else None,
            "correct": list(self.correct),
            "failures": [list(failure) for failure in self.failures],
            "source": self.source,
            "pictures": [asdict(picture) for picture in self.pictures],
            "occasions": self.occasions.to_dict() if self.occasions else None,
            "answers": self.answers.to_dict() if self.answers else None,
            "strangers": self.strangers.to_dict() if self.strangers else None,
            "absent": list(self.absent),
            "unknown": dict(self.unknown),
            "whole": self.whole,
            "skipped": list(self.skipped),
        }


def evaluate(
    run: Path | str,
    data: Path | str | Dataset | None = None,
    *,
    images_root: Path | str | None = None,
    out: Path | str | None = None,
    batch_size: int = 16,
    seed: int = 0,
    erased: int = ERASED,
    device: Device = "auto",
    runtime: Literal["torch", "onnx"] = "torch",
) -> Evaluation:
    """Evaluate a model on labelled pictures, and write the figures to ``evaluation.json``.

    ``run`` is a run folder, or a model's folder; with ``runtime="onnx"`` it is an exported model. ``data`` is a data
    set in any layout, by default the one that the model was trained on. Its test split is used, or all of it where it
    has none. Classes are matched by their names; the result lists classes without pictures, and classes unknown to the
    model. Paths of a table start at ``images_root``, by default at the table's folder. ``batch_size`` pictures are
    predicted at a time, and ``seed`` draws the bootstrap samples of the intervals. In ``erased`` of the pictures the
    parts shown are erased, one after the other, to see whether the answer depends on them.

    The result is written to the folder ``out``, by default ``run``; a model's folder without its run needs ``out``.
    Where ``run`` is read-only and ``out`` is not given, nothing is written. Each use of a test split is noted in
    ``test-split-read.log`` in both folders. Under torchrun all processes predict; the first one computes the figures,
    and only it needs ``run``.

    Raises RunError for a model that is missing or damaged and for a run whose training is under way, DataError for
    pictures that cannot be used, ConfigError for a device that is not there or a wrong number.

    >>> import wingbar
    >>> evaluation = wingbar.evaluate("run")
    >>> 0.0 <= evaluation.classification.top1 <= 1.0
    True
    """
    if erased < 0:
        raise ConfigError(f"erased is {erased}; it must be at least 0.")
    with opened() as world:
        recognizer = load_together(run, world, device, runtime)
        folder, logs = world.first(lambda: _folders(Path(run), None if out is None else Path(out)))
        labelled = world.first(lambda: _with_boxes(labelled_pictures(recognizer.card, data, images_root)))
        with ExitStack() as stack:
            if folder is not None:
                stack.enter_context(locked(folder, world))
            for log in logs:
                world.first(partial(note_reading, log, labelled.dataset))
            evaluation = evaluate_pictures(
                recognizer, labelled.dataset.split("test"), labelled.dataset,
                batch_size=batch_size, seed=seed, erased=erased, world=world, strangers=labelled.strangers,
            )  # fmt: skip
            evaluation = replace(
                evaluation, absent=labelled.absent, unknown=labelled.unknown, whole=labelled.whole, folder=folder,
                skipped=tuple(skipped_lines(labelled.dataset.skipped)),
            )  # fmt: skip
            if folder is not None:
                record = {"model": recognizer.card.digest(), **evaluation.to_dict()}
                world.first(lambda: write_record(folder / "evaluation.json", record))
    return evaluation


def _folders(run: Path, out: Path | None) -> tuple[Path | None, list[Path]]:
    """Where an evaluation is kept, None for nowhere, and where the reading of a test split is noted."""
    bare = (run / FILE).is_file()
    if out is None and bare:
        raise RunError(
            f"{run}: is a model's folder, which is given to others, so no evaluation is written into it; "
            "give a folder for it: --out DIR."
        )
    run_log = [run] if not bare and os.access(run, os.W_OK) else []
    if out is None:
        return (run if run_log else None), run_log
    make_folder(out)
    return out, [out, *(log for log in run_log if log.resolve() != out.resolve())]


def _with_boxes(labelled: LabelledPictures) -> LabelledPictures:
    return replace(labelled, dataset=with_boxes(labelled.dataset))


def note_reading(run: Path, dataset: Dataset, why: str = "") -> None:
    """Add a line to the run's record of every reading of a test split."""
    pictures = f"{len(dataset.split('test'))} pictures of {dataset.name}, {len(dataset.classes)} classes"
    path = run / "test-split-read.log"
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(f"{pictures} {why}".rstrip() + "\n")


def evaluate_pictures(
    recognizer: Recognizer,
    samples: Sequence[Sample],
    dataset: Dataset,
    *,
    batch_size: int = 16,
    seed: int = 0,
    erased: int = 0,
    world: World = ALONE,
    strangers: Sequence[Sample] = (),
) -> Evaluation:
    """The figures of ``samples``; the centre box is fitted on the data set's TRAINING boxes.

    ``strangers`` are pictures of classes that the model does not know.

    See `evaluate` for ``erased``.
    """
    boxes = MaxBoxAcc()
    evaluated: list[tuple[Sample, Prediction]] = []
    failures: list[tuple[str, str]] = []
    predictions = predict_together(recognizer, [sample.path for sample in samples], batch_size, world)
    for sample, prediction in zip(samples, predictions, strict=True):
        if prediction.error is not None:
            failures.append((sample.key, prediction.error))
            continue
        if sample.box is not None:
            boxes.add(prediction.saliency_map, prediction.size, _true_box(sample, prediction.size))
        evaluated.append((sample, prediction.lean()))
    unknown = strangers if recognizer.card.strangers else ()
    shown = predict_together(recognizer, [sample.path for sample in unknown], batch_size, world)
    strange = [one.lean() for one in shown if one.error is None]
    figures = world.first(lambda: _figures(recognizer, samples, dataset, evaluated, failures, boxes, seed, erased))
    return replace(figures, strangers=world.first(lambda: _strangers(evaluated, strange, recognizer.classes, seed)))


def _figures(
    recognizer: Recognizer,
    samples: Sequence[Sample],
    dataset: Dataset,
    evaluated: Sequence[tuple[Sample, Prediction]],
    failures: Sequence[tuple[str, str]],
    boxes: MaxBoxAcc,
    seed: int,
    erased: int,
) -> Evaluation:
    if not evaluated:
        raise DataError(f"{dataset.root}: none of {len(samples)} test pictures can be read: {failures[0][1]}")
    labels = np.array([sample.label for sample, _ in evaluated])
    fused = _scores((prediction.scores for _, prediction in evaluated), recognizer.classes)
    streams = {
        name: _scores((prediction.streams[name] for _, prediction in evaluated), recognizer.classes)
        for name in recognizer.fusion_weights
    }
    right = iter(correct(fused, labels))
    failed = {key for key, _ in failures}
    return Evaluation(
        classify(fused, labels, recognizer.classes, seed=seed),
        calibration_report(fused, labels, _candidates(evaluated, recognizer.classes), seed),
        stream_combinations(streams, recognizer.fuse, labels),
        _localization(evaluated, dataset, boxes, seed),
        _parts(evaluated, seed),
        _evidence(recognizer, evaluated, erased, seed),
        tuple(sample.key not in failed and bool(next(right)) for sample in samples),
        tuple(failures),
        str(dataset.source),
        tuple(
            Named(sample.key, recognizer.classes[sample.label], prediction.label, round(prediction.score, 4))
            for sample, prediction in evaluated
        ),
        occasions=occasions_report(fused, labels, _occasions(evaluated), seed),
        answers=answers_report(
            [prediction for _, prediction in evaluated],
            [recognizer.classes[sample.label] for sample, _ in evaluated],
            seed=seed,
        ),
    )


def matching(dataset: Dataset, recognizer: Recognizer) -> Dataset:
    """The data set of the model's classes: the whole, or its first ones. Raises DataError where they differ.

    Names are compared by `labels_by_name`.
    """
    known, given = recognizer.classes, dataset.classes
    if known != given and known == given[: len(known)]:
        return dataset.first_classes(len(known))
    label = labels_by_name(given, known)
    if known != given and sorted(label.values()) == [*range(len(known))] and len(given) == len(known):
        samples = tuple(replace(sample, label=label[sample.label]) for sample in dataset.samples)
        return replace(dataset, classes=tuple(known), samples=samples)
    if known != given:
        strange = [name for name in given if name not in known] or [name for name in known if name not in given]
        raise DataError(
            f"{dataset.root}: its classes are not the model's ({len(given)} against {len(known)}; "
            f"for one, {strange[:1]}); give a data set of the same classes."
        )
    return dataset


def _scores(named: Iterable[dict[str, float]], classes: Sequence[str]) -> ndarray:
    return np.array([[scores[name] for name in classes] for scores in named])


def _candidates(evaluated: Sequence[tuple[Sample, Prediction]], classes: Sequence[str]) -> list[list[int]] | None:
    """The numbers of the classes among each picture's candidates; None for a model without held-out pictures."""
    number = {name: label for label, name in enumerate(classes)}
    if not all(prediction.held_out for _, prediction in evaluated):
        return None
    return [[number[name] for name in prediction.candidates()] for _, prediction in evaluated]


def _occasions(evaluated: Sequence[tuple[Sample, Prediction]]) -> Int[ndarray, "n"]:
    samples = [sample for sample, _ in evaluated]
    return groups_of(samples, [taken(sample.path) for sample in samples])


def _strangers(
    evaluated: Sequence[tuple[Sample, Prediction]], strange: Sequence[Prediction], classes: Sequence[str], seed: int
) -> StrangersReport | None:
    ours = [prediction for _, prediction in evaluated]
    if any(prediction.known is None for prediction in ours):
        return None
    right = np.array([classes[sample.label] == prediction.label for sample, prediction in evaluated])
    known, other = (np.array([one.known for one in some], float) for some in (ours, strange))
    score, other_score = (np.array([one.score for one in some], float) for some in (ours, strange))
    refused, caught = (np.array([one.stranger for one in some], bool) for some in (ours, strange))
    return strangers_report((known, other), (score, other_score), (refused, caught), right, seed)


def _true_box(sample: Sample, size: tuple[int, int]) -> tuple[int, int, int, int]:
    assert sample.box is not None
    x1, y1, x2, y2 = (round(float(v)) for v in clip(np.array(sample.box), size))
    return x1, y1, x2, y2


def _localization(
    evaluated: Sequence[tuple[Sample, Prediction]], dataset: Dataset, boxes: MaxBoxAcc, seed: int
) -> LocalizationReport | None:
    boxed = [(sample, prediction) for sample, prediction in evaluated if sample.box is not None]
    training = [sample for sample in dataset.split("train") if sample.box is not None]
    if not boxed or not training:
        return None
    sized = list(_sizes_and_boxes(training))
    if not sized:
        return None
    sizes, truth = zip(*sized, strict=True)
    return localize(
        np.array([prediction.object_box for _, prediction in boxed]),
        np.array([_true_box(sample, prediction.size) for sample, prediction in boxed]),
        [prediction.size for _, prediction in boxed],
        centre_share=best_centre_share(list(sizes), np.array(truth)),
        max_box_acc=boxes.result(),
        seed=seed,
    )


def _sizes_and_boxes(
    samples: Sequence[Sample],
) -> Iterator[tuple[tuple[int, int], tuple[int, int, int, int]]]:
    for sample in samples:
        try:
            size = picture_size(sample.path)
        except PictureError:
            continue
        yield size, _true_box(sample, size)


def _parts(evaluated: Sequence[tuple[Sample, Prediction]], seed: int) -> PartsReport | None:
    pictures = [
        PictureParts(
            np.array([part.box for part in prediction.parts], np.int64).reshape(-1, 4),
            np.array([part.cluster for part in prediction.parts], np.int64),
            [(point.name, point.x, point.y) for point in sample.keypoints],
            prediction.object_box if sample.box is None else _true_box(sample, prediction.size),
        )
        for sample, prediction in evaluated
        if sample.keypoints and prediction.parts
    ]
    return evaluate_parts(pictures, seed) if pictures else None


def _evidence(
    recognizer: Recognizer, evaluated: Sequence[tuple[Sample, Prediction]], count: int, seed: int
) -> EvidenceReport | None:
    """Parts erased in at most ``count`` of the pictures, drawn at random; each lends the one before its background."""
    shown = [(sample, prediction) for sample, prediction in evaluated if prediction.parts]
    chosen = [shown[i] for i in np.random.default_rng(seed).permutation(len(shown))[:count]]
    if not chosen:
        return None
    ring = pairwise([*chosen, chosen[0]])
    pictures = pairwise(read_picture(sample.path, short_side=READ_SIDE) for sample, _ in [*chosen, chosen[0]])
    erased = [
        erasures(recognizer.predict_many, picture, prediction, (other, lender.object_box), seed + place)
        for place, (((_, prediction), (_, lender)), (picture, other)) in enumerate(zip(ring, pictures, strict=True))
    ]
    return evidence_report(erased, [recognizer.classes[sample.label] for sample, _ in chosen], seed)
