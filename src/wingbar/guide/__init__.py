"""The field guide of a run: a static site that opens from disk, without server and network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from wingbar._system.locks import locked
from wingbar.data import load as load_data
from wingbar.errors import ConfigError
from wingbar.evaluation.evaluate import matching
from wingbar.guide.evaluation import find_pictures, read_evaluation
from wingbar.guide.examples import look_at_classes
from wingbar.guide.pages import Guide, write_pages
from wingbar.model.card import Card
from wingbar.recognizer import load
from wingbar.steps.reporting import Reporter
from wingbar.steps.store import Store

__all__ = ["write_guide"]


def write_guide(
    run: Path | str,
    data: Path | str | None = None,
    *,
    per_class: int = 24,
    batch_size: int = 16,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
    quiet: bool = False,
) -> Path:
    """Write ``RUN/guide`` and return its ``index.html``.

    Examples and parts come from at most ``per_class`` training pictures of each class of ``data`` (by default the data
    set that the run was trained on); all that is said of test pictures comes from ``RUN/evaluation.json``.
    Raises RunError, DataError or ConfigError.
    """
    if per_class < 1:
        raise ConfigError(f"per_class is {per_class}; at least 1 picture of each class is needed.")
    run = Path(run)
    recognizer, reporter, store = load(run, device=device), Reporter(run, quiet), Store(run / "guide-cache")
    judged = read_evaluation(run, recognizer.card)
    dataset = matching(load_data(data or recognizer.card.data.source), recognizer)
    with locked(store.folder):
        examples = look_at_classes(recognizer, dataset, store, reporter, per_class=per_class, batch_size=batch_size)
        guide = Guide(recognizer.card, settings_of(recognizer.card), examples, judged, find_pictures(judged, dataset))
        reporter.say("writing the pages")
        return write_pages(guide, run / "guide")


def settings_of(card: Card) -> dict[str, Any]:
    """The settings that the model was learnt with, flat (``parts.count``); none of a model of an older version."""
    flat: dict[str, Any] = {}
    for key, value in card.settings.items():
        flat |= {f"{key}.{name}": own for name, own in value.items()} if isinstance(value, dict) else {key: value}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in flat.items()}
