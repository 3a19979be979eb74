"""The field guide of a run: a static site that opens from disk, without server and network."""

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
from wingbar.guide.pages import Guide, write_pages
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
    """Write the field guide to the folder ``out``, by default ``RUN/guide``, and return its ``index.html``.

    Examples and parts come from at most ``per_class`` training pictures of each class of ``data`` (by default the data
    set that the run was trained on; paths of a table start at ``images_root``, by default at its folder); all that is
    said of test pictures comes from ``RUN/evaluation.json``. What was predicted is kept for the next guide in
    ``RUN/guide-cache``, or in ``out``. Nothing is written into a model folder without its run, which people give to
    others: for one, ``out`` is needed. Raises RunError, DataError or ConfigError.
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
        guide = Guide(recognizer.card, settings_of(recognizer.card), examples, results, find_pictures(results, dataset))
        reporter.say("writing the pages")
        return write_pages(guide, folder)


def _folders(run: Path, out: Path | None) -> tuple[Path, Path]:
    """Where the pages go, and what was predicted. Raises RunError where nothing can or should be written."""
    if out is not None:
        make_folder(out)
        return out, out / "cache"
    if (run / FILE).is_file():
        raise RunError(
            f"{run}: a model folder without its run, into which nothing is written, so that it can be given to "
            "others; name a folder for the guide with --out."
        )
    return run / "guide", run / "guide-cache"


def settings_of(card: Card) -> dict[str, Any]:
    """The settings that the model was learnt with, flat (``parts.count``); none of a model of an older version."""
    flat: dict[str, Any] = {}
    for key, value in card.settings.items():
        flat |= (
            {f"{key}.{name}": setting for name, setting in value.items()} if isinstance(value, dict) else {key: value}
        )
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in flat.items()}
