"""Starting of the review: pictures are predicted, ordered and shown until the page is stopped."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal

from wingbar._system.locks import locked
from wingbar.data import load as load_data
from wingbar.data.folders import Tally
from wingbar.data.listing import as_text, pictures_in
from wingbar.errors import DataError
from wingbar.evaluation.labelled import labels_by_name
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer, load
from wingbar.serve import server as web
from wingbar.serve.examples import some_of, spread
from wingbar.serve.review.app import create_app
from wingbar.serve.review.decisions import Decisions
from wingbar.serve.review.desk import Desk, Reference, embed, lay_out

PER_CLASS = 24
"""Training pictures of each class that look-alikes are sought among."""


def review(
    run: Path,
    photos: Path,
    out: Path,
    *,
    port: int,
    data: Path | None = None,
    images_root: Path | None = None,
    batch_size: int = 16,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
) -> None:
    """Review the pictures of a folder on a page of this machine until SIGINT or SIGTERM; decisions are kept in ``out``.

    Raises RunError where another reviewer is at work in ``out``, DataError for a folder without pictures.
    """
    with locked(out), web.listen("127.0.0.1", port) as listener:
        decisions = Decisions(out)
        recognizer = load(run, device=device)
        labelled = reference_pictures(run, recognizer, data, images_root)
        desk = set_up(recognizer, photos, labelled, decisions, batch_size)
        by_class = [[one.path for one in labelled if one.label == name] for name in recognizer.classes]
        site = web.build_site(run, recognizer, some_of(by_class))
        server = web.Server(create_app(desk, site, web.LOCAL_NAMES), site.batcher.stop)
        web.say(f"{len(desk.items)} pictures to review at {web.address(listener)} (stop with Ctrl-C)")
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    web.say(f"labels are in {decisions.labels}")


def set_up(
    recognizer: Recognizer, photos: Path, labelled: list[Reference], decisions: Decisions, batch_size: int
) -> Desk:
    """Predict the pictures that are not decided yet, and lay them out. Raises DataError where there are none at all."""
    passed_over = Tally()
    paths = list(pictures_in(photos, passed_over)) if photos.is_dir() else []
    if not paths:
        raise DataError(f"{str(photos)!r}: no folder with pictures. " + " ".join(f"{x}." for x in passed_over.lines()))
    named = [(as_text(path.relative_to(photos).as_posix()), path) for path in paths]
    waiting = [(name, path) for name, path in named if decisions.of(name) in (None, "skipped")]
    predictions: list[Prediction] = []
    for prediction in recognizer.predict_many([path for _, path in waiting], batch_size):
        predictions.append(prediction.lean())
        if prediction.error is not None:
            web.say(f"left out: {prediction.error}")
        if len(predictions) % 100 == 0:
            web.say(f"looked at {len(predictions)} of {len(waiting)} pictures")
    answers = [(name, path, prediction) for (name, path), prediction in zip(waiting, predictions, strict=True)]
    items = lay_out(
        answers,
        list(embed(recognizer, [path for _, path in waiting], batch_size)),
        list(embed(recognizer, [one.path for one in labelled], batch_size)),
    )
    return Desk(items, labelled, recognizer.classes, decisions)


def reference_pictures(run: Path, recognizer: Recognizer, data: Path | None, root: Path | None) -> list[Reference]:
    """Evenly spread training pictures of each class: of ``data``, else of the run's data set where it is there."""
    if data is None and not (run / "config.toml").is_file():
        return []
    of_run = recognizer.card.data
    try:
        dataset = load_data(data, root) if data else load_data(of_run.source, of_run.images_root or None)
    except DataError as error:
        if data is not None:
            raise
        web.say(f"no labelled look-alikes: {error}")
        return []
    label = labels_by_name(dataset.classes, recognizer.classes)
    by_class: dict[int, list[Path]] = {}
    for sample in dataset.split("train"):
        if sample.label in label:
            by_class.setdefault(label[sample.label], []).append(sample.path)
    return [
        Reference(path, recognizer.classes[number])
        for number, paths in sorted(by_class.items())
        for path in spread(paths, PER_CLASS)
    ]
