"""Judging a run on a test split: the only code that gives figures of one. Writes `evaluation.json` and a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy import ndarray

from wingbar._system.distributed import ALONE, World, opened
from wingbar._system.files import write_record, writing
from wingbar._system.locks import locked
from wingbar.boxes import clip
from wingbar.data import load as load_data
from wingbar.data.layouts.annotations import with_boxes
from wingbar.data.sample import Dataset, Sample
from wingbar.errors import DataError, PictureError
from wingbar.evaluation.classification import ClassificationReport, classify, correct, stream_combinations
from wingbar.evaluation.localization import LocalizationReport, MaxBoxAcc, best_centre_share, localize
from wingbar.evaluation.parts import PartsReport, PictureParts, evaluate_parts
from wingbar.evaluation.tables import percent, percent_interval, render
from wingbar.images import picture_size
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer, load, predict_together

NO_MAPS = np.zeros((1, 1, 1), np.float32)


@dataclass(frozen=True)
class Named:
    """One test picture, as it was named."""

    key: str
    label: str
    predicted: str
    score: float
    """Fused probability of the predicted class."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that is known of a run's quality on one test split."""

    classification: ClassificationReport
    combinations: dict[str, float]
    """Top-1 of each stream alone and each combination."""
    localization: LocalizationReport | None
    """None for a data set without boxes."""
    parts: PartsReport | None
    """None for a data set without keypoints, or a run without parts."""
    correct: tuple[bool, ...]
    """Whether each test picture is named rightly, in the data set's order: for paired comparisons."""
    failures: tuple[tuple[str, str], ...]
    """Pictures that could not be read, and why."""
    source: str
    """Data set whose test split was read."""
    pictures: tuple[Named, ...]
    """Every readable test picture, in the data set's order."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "classification": self.classification.to_json(),
            "combinations": self.combinations,
            "localization": self.localization.to_json() if self.localization else None,
            "parts": self.parts.to_json() if self.parts else None,
            "correct": list(self.correct),
            "failures": [list(failure) for failure in self.failures],
            "source": self.source,
            "pictures": [asdict(picture) for picture in self.pictures],
        }


def evaluate(
    run: Path | str,
    data: Path | str | Dataset | None = None,
    *,
    batch_size: int = 16,
    seed: int = 0,
    runtime: Literal["torch", "onnx"] = "torch",
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
) -> Evaluation:
    """Judge the run's model on the test split of ``data`` (by default the data set it was trained on).

    With ``runtime="onnx"`` RUN is an exported model. Every reading of a test split is noted in
    ``RUN/test-split-read.log``. Under torchrun all its processes predict; the first of them judges, and alone needs
    RUN. Raises RunError, also where a training is under way in RUN, or DataError.
    """
    with opened() as world:
        recognizer = load(run, runtime=runtime, device=device, world=world)
        dataset = world.first(lambda: with_boxes(_dataset(recognizer, data)))
        with locked(Path(run), world):
            world.first(lambda: note_reading(Path(run), dataset))
            judged = evaluate_pictures(
                recognizer, dataset.split("test"), dataset, batch_size=batch_size, seed=seed, world=world
            )
            record = {"model": recognizer.card.digest(), **judged.to_json()}
            world.first(lambda: write_record(Path(run) / "evaluation.json", record))
    return judged


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
    world: World = ALONE,
) -> Evaluation:
    """The figures of ``samples``; the centre box is fitted on the data set's TRAINING boxes."""
    boxes = MaxBoxAcc()
    kept: list[tuple[Sample, Prediction]] = []
    failures: list[tuple[str, str]] = []
    predictions = predict_together(recognizer, [sample.path for sample in samples], batch_size, world)
    for sample, prediction in zip(samples, predictions, strict=True):
        if prediction.error is not None:
            failures.append((sample.key, prediction.error))
            continue
        if sample.box is not None:
            boxes.add(prediction.map, prediction.size, _true_box(sample, prediction.size))
        kept.append((sample, replace(prediction, evidence=NO_MAPS, map=NO_MAPS[0])))  # maps would fill the memory
    return world.first(lambda: _figures(recognizer, samples, dataset, kept, failures, boxes, seed))


def _figures(
    recognizer: Recognizer,
    samples: Sequence[Sample],
    dataset: Dataset,
    kept: Sequence[tuple[Sample, Prediction]],
    failures: Sequence[tuple[str, str]],
    boxes: MaxBoxAcc,
    seed: int,
) -> Evaluation:
    if not kept:
        raise DataError(f"{dataset.root}: none of {len(samples)} test pictures can be read: {failures[0][1]}")
    labels = np.array([sample.label for sample, _ in kept])
    fused = _scores((prediction.scores for _, prediction in kept), recognizer.classes)
    streams = {
        name: _scores((prediction.streams[name] for _, prediction in kept), recognizer.classes)
        for name in recognizer.fusion_weights
    }
    right = iter(correct(fused, labels))
    failed = {key for key, _ in failures}
    return Evaluation(
        classify(fused, labels, recognizer.classes, seed=seed),
        stream_combinations(streams, recognizer.fusion_weights, labels),
        _localization(kept, dataset, boxes, seed),
        _parts(kept, seed),
        tuple(sample.key not in failed and bool(next(right)) for sample in samples),
        tuple(failures),
        str(dataset.source),
        tuple(
            Named(sample.key, recognizer.classes[sample.label], prediction.label, round(prediction.score, 4))
            for sample, prediction in kept
        ),
    )


def _dataset(recognizer: Recognizer, data: Path | str | Dataset | None) -> Dataset:
    source = data or recognizer.card.data.source
    if not source:
        raise DataError("this model does not say where its pictures are: give the data set to judge it on.")
    dataset = source if isinstance(source, Dataset) else load_data(Path(source))
    return _with_tests(matching(_with_tests(dataset), recognizer))


def _with_tests(dataset: Dataset) -> Dataset:
    if not dataset.split("test"):
        raise DataError(f"{dataset.root}: no test pictures; give a data set with a test split to judge on.")
    return dataset


def matching(dataset: Dataset, recognizer: Recognizer) -> Dataset:
    """The data set of the model's classes: the whole, or its first ones. Raises DataError where they differ."""
    own, given = recognizer.classes, dataset.classes
    if own != given and own == given[: len(own)]:
        return dataset.first_classes(len(own))
    if own != given:
        strange = [name for name in given if name not in own] or [name for name in own if name not in given]
        raise DataError(
            f"{dataset.root}: its classes are not the model's ({len(given)} against {len(own)}; "
            f"for one, {strange[:1]}); give a data set of the same classes."
        )
    return dataset


def _scores(named: Iterable[dict[str, float]], classes: Sequence[str]) -> ndarray:
    return np.array([[scores[name] for name in classes] for scores in named])


def _true_box(sample: Sample, size: tuple[int, int]) -> tuple[int, int, int, int]:
    assert sample.box is not None
    x1, y1, x2, y2 = (round(float(v)) for v in clip(np.array(sample.box), size))
    return x1, y1, x2, y2


def _localization(
    kept: Sequence[tuple[Sample, Prediction]], dataset: Dataset, boxes: MaxBoxAcc, seed: int
) -> LocalizationReport | None:
    boxed = [(sample, prediction) for sample, prediction in kept if sample.box is not None]
    training = [sample for sample in dataset.split("train") if sample.box is not None]
    if not boxed or not training:
        return None
    known = list(_sizes_and_boxes(training))
    if not known:
        return None
    sizes, truth = zip(*known, strict=True)
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


def _parts(kept: Sequence[tuple[Sample, Prediction]], seed: int) -> PartsReport | None:
    pictures = [
        PictureParts(
            np.array([part.box for part in prediction.parts], np.int64).reshape(-1, 4),
            np.array([part.cluster for part in prediction.parts], np.int64),
            [(point.name, point.x, point.y) for point in sample.keypoints],
            prediction.object_box if sample.box is None else _true_box(sample, prediction.size),
        )
        for sample, prediction in kept
        if sample.keypoints and prediction.parts
    ]
    return evaluate_parts(pictures, seed) if pictures else None


def table(evaluation: Evaluation) -> str:
    """The evaluation as text for people."""
    c = evaluation.classification
    five = f"top-5 {percent(c.top5)}, " if len(c.per_class) > 5 else ""
    lines = [
        f"{c.pictures} test pictures; top-1 {percent_interval(c.top1, *c.top1_interval)}, {five}"
        f"macro recall {percent(c.macro_recall)}",
        "",
        render(["streams", "top-1"], [[name, percent(value)] for name, value in evaluation.combinations.items()]),
    ]
    if evaluation.localization:
        lines += ["", _localization_table(evaluation.localization)]
    if evaluation.parts:
        rows = [
            [
                str(own.cluster),
                str(own.boxes),
                own.best or "-",
                percent(own.holds.get(own.best) if own.best else None),
            ]
            for own in evaluation.parts.clusters
        ]
        lines += ["", render(["cluster", "parts", "holds most often", "share"], rows)]
    if c.confused:
        rows = [[pair.first, pair.second, str(pair.count)] for pair in c.confused[:5]]
        lines += ["", render(["taken for each other", "", "pictures"], rows)]
    if evaluation.failures:
        lines += ["", f"{len(evaluation.failures)} pictures could not be read (listed in evaluation.json)"]
    return "\n".join(lines)


def _localization_table(report: LocalizationReport) -> str:
    rows = []
    for name, row in (("our box", report.ours), ("centre box", report.centre)):
        v2 = row.max_box_acc.mean if row.max_box_acc else None
        share = percent_interval(row.share["0.5"], *row.share_interval)
        over = " / ".join(percent(value) for value in row.share.values())
        rows.append([name, share, over, f"{row.mean_iou:.3f}", percent(v2)])
    return render(["object box", "IoU >= 0.5", "IoU >= .3 / .5 / .7", "mean IoU", "MaxBoxAccV2 of the map"], rows)
