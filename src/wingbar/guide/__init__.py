"""The field guide of a run: a static site that opens from the disk and needs neither a server nor a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wingbar._system.files import make_folder
from wingbar._system.locks import locked
from wingbar.data import load as load_data
from wingbar.errors import ConfigError, RunError
from wingbar.evaluation.evaluate import matching
from wingbar.evaluation.labelled import training_source
from wingbar.guide.evaluation import find_pictures, read_evaluation
from wingbar.guide.examples import predict_examples
from wingbar.guide.pages import FieldGuide, write_pages
from wingbar.model.card import FILE, Card
from wingbar.recognizer import Device, load
from wingbar.steps.reporting import Reporter
from wingbar.steps.store import Store

__all__ = ["write_guide"]


def write_guide(
    run: Path | str,
    data: Path | str | None = None,
    *,
    images_root: Path | str | None = None,
    out: Path | str | None = None,
    per_class: int = 24,
    batch_size: int = 16,
    device: Device = "auto",
    quiet: bool = False,
) -> Path:
    """Write the field guide of a run and return the path of its ``index.html``.

    Args:
        run: the run folder, or a model folder; a model folder needs ``out``, because nothing is written into it.
        data: the data set of the training pictures; by default the one that the run was trained on.
        images_root: the folder that the paths of a table start from; by default the table's folder.
        out: the folder of the guide; by default ``RUN/guide``.
        per_class: the number of training pictures of each class that examples and parts are taken from, at most.
        batch_size: pictures in a batch of the prediction.
        device: where the nets run.
        quiet: print no progress.

    All statements about test pictures come from ``RUN/evaluation.json``. The predictions are kept for the next guide,
    in ``RUN/guide-cache`` or, if ``out`` is given, in ``out/cache``.

    Raises:
        RunError: the run has no model, its evaluation is damaged, or a folder cannot be written to.
        DataError: the data set cannot be read or has other classes.
        ConfigError: ``per_class`` is less than 1.
    """
    if per_class < 1:
        raise ConfigError(f"per_class is {per_class}; at least 1 picture of each class is needed.")
    run = Path(run)
    folder, cache = _folders(run, None if out is None else Path(out))
    recognizer, reporter, store = load(run, device), Reporter(run, quiet), Store(cache)
    results = read_evaluation(run, recognizer.card)
    root = images_root if data else recognizer.card.data.images_root or None
    dataset = matching(load_data(data or training_source(recognizer.card), root), recognizer)
    with locked(store.folder):
        examples = predict_examples(recognizer, dataset, store, reporter, per_class=per_class, batch_size=batch_size)
        guide = FieldGuide(
            recognizer.card, shown_settings(recognizer.card), examples, results, find_pictures(results, dataset)
        )
        reporter.say("writing the pages")
        return write_pages(guide, folder)


def _folders(run: Path, out: Path | None) -> tuple[Path, Path]:
    """The folders of the pages and of the cached predictions.

    Raises RunError if the first cannot be written to, and for a model folder without ``out``.
    """
    if out is not None:
        make_folder(out)
        return out, out / "cache"
    if (run / FILE).is_file():
        raise RunError(
            f"{run}: this is a model folder without its run. Nothing is written into it, because it may be given to "
            "others; name a folder for the guide with --out."
        )
    return run / "guide", run / "guide-cache"


def shown_settings(card: Card) -> dict[str, Any]:
    """The settings that the model was trained with, with flat names such as ``parts.count``.

    Empty for a model of an older version, whose card has no settings.
    """
    flat: dict[str, Any] = {}
    for key, value in card.settings.items():
        flat |= (
            {f"{key}.{name}": setting for name, setting in value.items()} if isinstance(value, dict) else {key: value}
        )
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in flat.items()}
