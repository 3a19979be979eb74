"""Pictures that a model was not trained on, as far as one knows: which of them it has seen, and which are strangers.

What it has seen is told by the hashes that it keeps (`model.seen`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from wingbar.check.audit import Examined, Fault, Finding, PictureFacts
from wingbar.check.doubts import doubtful_labels
from wingbar.data import load as load_data
from wingbar.data.checks import only_pictures
from wingbar.data.duplicates import BITS, DIGEST, FLAT, NEAR, nearest, packed
from wingbar.data.listing import pictures_in
from wingbar.data.sample import Dataset, Sample, Skipped
from wingbar.errors import DataError
from wingbar.evaluation.evaluate import matching
from wingbar.evaluation.labelled import same_pictures
from wingbar.model.folder import read_model
from wingbar.model.seen import Seen, seen_by
from wingbar.prediction import Prediction
from wingbar.recognizer import Device, Recognizer, load

NOT_KNOWN = "In the run's training: not known"


def load_new(path: Path, images_root: Path | None = None) -> Dataset:
    """A data set in any layout, which need not be one to learn from; or a folder of pictures without labels.

    Raises DataError.
    """
    try:
        return load_data(path, images_root, to_learn=False)
    except DataError:
        if not path.is_dir():
            raise
        root, passed_over = path.resolve(), list[Skipped]()
        pictures = pictures_in(root, lambda *skipped: passed_over.append(Skipped(*skipped)))
        samples = [Sample(picture, picture.relative_to(root).as_posix(), 0, "train") for picture in pictures]
        read, others = only_pictures(samples)
        if not read:
            raise
        return Dataset(root, root.name, "pictures without labels", ("no label",), read, (*passed_over, *others))


def by_run(
    run: Path, dataset: Dataset, examine: Callable[[], Examined], *, out: Path | None = None, device: Device = "auto"
) -> tuple[Finding, ...]:
    """What a run says of pictures: of those that it was trained on `doubtful_labels`; of others what the module tells.

    ``examine`` gives the pictures' facts; it is asked for new pictures alone. Raises RunError for a run that cannot
    judge.
    """
    recognizer = load(run, device=device)
    if _learnt_from(recognizer, dataset):
        return doubtful_labels(run, dataset, out=out, device=device)
    model = read_model(run)
    kept = seen_by(model)
    seen = seen_pictures(kept, examine()) if kept else Finding("seen", NOT_KNOWN, "It keeps no hashes of them.", ())
    predictions = recognizer.predict_many(sample.path for sample in dataset.samples)
    return seen, strange_pictures(dataset.samples, [prediction.lean() for prediction in predictions])


def _learnt_from(recognizer: Recognizer, dataset: Dataset) -> bool:
    """Whether these are the very pictures that a model was trained on, in the classes that it has."""
    try:
        return same_pictures(recognizer.card, matching(dataset, recognizer))
    except DataError:
        return False


def seen_pictures(kept: Seen, examined: Examined) -> Finding:
    """The pictures that the model was trained on, or choices were made on, and near copies of such."""
    known = kept.learnt() | kept.held_out()
    read = [(sample, facts) for sample, facts in examined if isinstance(facts, PictureFacts)]
    smalls = np.stack([facts.small for _, facts in read]) if read else np.zeros((0, 1, 1), np.uint8)
    distances = nearest(packed(smalls), kept.bits) if read else np.zeros(0, np.int64)
    same = [bytes.fromhex(facts.digest)[:DIGEST] in known for _, facts in read]
    near = (distances <= NEAR) & (smalls.std((1, 2)) >= FLAT)  # what shows nothing looks like anything
    exact = [Fault((read[i][0],), {"copy": "the same file"}) for i in np.flatnonzero(same)]
    close = [
        Fault((read[i][0],), {"copy": "nearly the same picture", "bits that differ": f"{distances[i]} of {BITS}"})
        for i in np.flatnonzero(near & ~np.array(same, bool))
    ]
    advice = "What the model has learnt says nothing of how good it is: do not judge it on these."
    return Finding("seen", "Were in the run's training", advice, (*exact, *close))


def strange_pictures(samples: Sequence[Sample], predictions: Sequence[Prediction]) -> Finding:
    """The pictures that are taken for none of the classes, an item for each class that they look most like."""
    groups: dict[str, list[tuple[float, int]]] = {}
    for place, prediction in enumerate(predictions):
        if prediction.error is None and prediction.stranger:
            groups.setdefault(prediction.label, []).append((prediction.known or 0.0, place))
    items = [
        Fault(tuple(samples[place] for _, place in sorted(members)), {"most like": name, "pictures": len(members)})
        for name, members in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    ]
    advice = "The strangest first. If several show one thing, it may be a class that the model should learn."
    return Finding("strangers", "Look like none of the run's classes", advice, tuple(items))
