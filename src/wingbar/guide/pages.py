"""The pages of the guide: this module computes the values that the templates in ``templates/`` show.

Files are named by numbers (``classes/0001.html``, ``pairs/0001-0002.html``), never by the names of classes or
pictures. The templates escape all values, and unprintable letters are removed from names beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy import ndarray

from wingbar._system.files import write_bytes, write_text
from wingbar._system.text import display_names, printable
from wingbar.boxes import as_box
from wingbar.guide.atlas import embed, layout
from wingbar.guide.choosing import best, best_marks, confusion, likeness, pairs_to_compare, share_interval
from wingbar.guide.evaluation import EvaluationResults, Mistake
from wingbar.guide.examples import ClassExamples
from wingbar.guide.thumbnails import Thumbnail, Thumbnails
from wingbar.model.card import Card

EXAMPLES, CROPS, MISTAKES, COMPARED, ALIKE, PAIRS, LINES = 8, 6, 12, 4, 3, 8, 30
"""The largest number that a page shows of each kind."""
OBJECT = -1
"""The number of the whole object, where parts have the number of their cluster."""


@dataclass(frozen=True, eq=False)
class FieldGuide:
    """The data that the pages are made from."""

    card: Card
    settings: Mapping[str, str]
    examples: Sequence[ClassExamples]
    """The examples of each class."""
    results: EvaluationResults | None
    test_paths: Mapping[str, Path]

    @cached_property
    def names(self) -> list[str]:
        """The class names as they are displayed."""
        return display_names(self.card.classes)

    @cached_property
    def alike(self) -> Float[ndarray, "classes classes"]:
        """The similarity of each pair of classes (`likeness`)."""
        return likeness(self._means("scores"))

    @cached_property
    def confused(self) -> ndarray:
        """The confusion matrix of the test pictures, [true, predicted]; all zero without an evaluation."""
        return self.results.confused if self.results else confusion([], [], len(self.names))

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of classes that have a page, the most confused first."""
        return pairs_to_compare(self.confused, self.alike)

    @cached_property
    def points(self) -> Float[ndarray, "classes 2"]:
        """The point of each class on the map, before it is scaled to the drawing."""
        return embed(self._means("logits"))

    @property
    def marks(self) -> list[int]:
        """`OBJECT`, and the numbers of all clusters that have parts."""
        clusters = {int(cluster) for examples in self.examples for cluster in examples.predictions.clusters}
        return [OBJECT, *sorted(clusters)]

    def _means(self, what: str) -> Float[ndarray, "classes classes"]:
        # A class without a readable picture has no scores: its row is zero.
        rows = [getattr(examples.predictions, what) for examples in self.examples]
        return np.stack([row.mean(0) if len(row) else np.zeros(len(self.names)) for row in rows]).astype(np.float64)


@dataclass(frozen=True)
class Figure:
    """A thumbnail with its texts, and boxes to draw over it: (x, y, width, height) in per cent, and a number."""

    thumbnail: Thumbnail
    alt: str
    caption: str = ""
    boxes: tuple[tuple[float, float, float, float, int], ...] = ()


def write_pages(guide: FieldGuide, folder: Path) -> Path:
    """Write all pages, the style and the script into ``folder``, and delete the files of an older guide.

    Returns the path of the index.
    """
    thumbnails = Thumbnails(folder)
    environment = Environment(
        loader=PackageLoader("wingbar.guide"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {
        "names": guide.names, "run": guide.card, "results": guide.results, "percent": percent,
        "class_page": class_page, "pair_page": pair_page, "has_page": set(guide.pairs), "mark_name": mark_name,
    }  # fmt: skip
    for name in ("style.css", "guide.js"):
        write_bytes(folder / name, files("wingbar.guide").joinpath(name).read_bytes())
    written = set()
    for name, template, values in pages(guide, thumbnails):
        root = "../" if "/" in name else ""
        write_text(folder / name, environment.get_template(template).render(root=root, **values))
        written.add(name)
    for file in [*folder.glob("classes/*.html"), *folder.glob("pairs/*.html")]:
        if file.relative_to(folder).as_posix() not in written:
            file.unlink()
    thumbnails.sweep()
    return folder / "index.html"


def pages(guide: FieldGuide, thumbnails: Thumbnails) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, template and values of each page. The index comes last, so that it never links to a missing page."""
    for label in range(len(guide.names)):
        yield class_page(label), "class.html", class_values(guide, thumbnails, label)
    for pair in guide.pairs:
        yield pair_page(*pair), "pair.html", pair_values(guide, thumbnails, *pair)
    yield "map.html", "map.html", map_values(guide)
    yield "card.html", "card.html", {"settings": guide.settings}
    yield "index.html", "index.html", index_values(guide, thumbnails)


def class_values(guide: FieldGuide, thumbnails: Thumbnails, label: int) -> dict[str, Any]:
    """The values of a class's page: examples, field marks, confusions and misclassified test pictures."""
    examples, name = guide.examples[label], guide.names[label]
    wrong = [mistake for mistake in guide.results.mistakes if mistake.label == label] if guide.results else []
    shown = [
        example(examples, place, label, name, thumbnails)
        for place in best(examples.predictions.scores[:, label], EXAMPLES)
    ]
    return {
        "label": label,
        "examples": [figure for figure in shown if figure],
        "marks": [(mark, crops(guide, thumbnails, label, mark, None, CROPS)) for mark in guide.marks],
        "facts": class_facts(guide, label),
        "taken_for": counted(guide.confused[label], label),
        "taken_as": counted(guide.confused[:, label], label),
        "alike": [(other, guide.alike[label, other]) for other in best(guide.alike[label], ALIKE) if other != label],
        "mistakes": mistakes(guide, thumbnails, wrong[:MISTAKES]),
        "wrong": len(wrong),
    }


def pair_values(guide: FieldGuide, thumbnails: Thumbnails, a: int, b: int) -> dict[str, Any]:
    """The values of a pair's page: the parts that distinguish the two classes, and the pictures that were confused."""
    known = guide.results.mistakes if guide.results else ()
    sides = [
        (label, other, [m for m in known if (m.label, m.predicted) == (label, other)])
        for label, other in ((a, b), (b, a))
    ]
    return {
        "a": a,
        "b": b,
        "errors": (int(guide.confused[a, b]), int(guide.confused[b, a])),
        "marks": [
            (mark, [(label, crops(guide, thumbnails, label, mark, other, COMPARED)) for label, other, _ in sides])
            for mark in guide.marks
        ],
        "sides": [(label, other, mistakes(guide, thumbnails, wrong[:MISTAKES])) for label, other, wrong in sides],
    }


def index_values(guide: FieldGuide, thumbnails: Thumbnails) -> dict[str, Any]:
    """The values of the index: a picture of each class, and the most confused pairs."""
    covers = []
    for label, examples in enumerate(guide.examples):
        place = best(examples.predictions.scores[:, label], 1)
        covers.append(
            example(examples, place[0], label, guide.names[label], thumbnails, boxes=False) if place else None
        )
    confused = [(a, b, int(guide.confused[a, b] + guide.confused[b, a])) for a, b in guide.pairs]
    return {
        "covers": covers,
        "facts": [class_facts(guide, label) for label in range(len(guide.names))],
        "pairs": [pair for pair in confused if pair[2]][:PAIRS],
        "pictures": sum(len(examples.samples) for examples in guide.examples),
    }


def map_values(guide: FieldGuide) -> dict[str, Any]:
    """The values of the map: points, labels, and lines between the most confused classes."""
    lines = [(a, b, int(guide.confused[a, b] + guide.confused[b, a])) for a, b in guide.pairs]
    return {"atlas": layout(guide.points, guide.names), "lines": [line for line in lines if line[2]][:LINES]}


def class_facts(guide: FieldGuide, label: int) -> dict[str, Any] | None:
    """The recall of a class with its 95 % interval; None if none of its test pictures was evaluated."""
    row = guide.results.record["classification"]["per_class"][label] if guide.results else None
    if row is None or not row["count"]:
        return None
    right = round(row["recall"] * row["count"])
    low, high = share_interval(right, row["count"])
    return {**row, "right": right, "low": low, "high": high}


def counted(row: ndarray, label: int) -> list[tuple[int, int]]:
    """The other classes of a row of the confusion matrix, as (class, errors), most errors first."""
    return [(other, int(row[other])) for other in best(row.astype(float), len(row)) if row[other] and other != label]


def example(
    examples: ClassExamples, place: int, label: int, name: str, thumbnails: Thumbnails, *, boxes: bool = True
) -> Figure | None:
    """A training picture with the boxes that the recogniser found; None if its file is no longer there."""
    thumbnail = thumbnails.whole(examples.samples[place].path)
    if thumbnail is None:
        return None
    parts = np.flatnonzero(examples.predictions.owners == place)
    marks = [
        (examples.predictions.objects[place], OBJECT),
        *((examples.predictions.parts[i], int(examples.predictions.clusters[i])) for i in parts),
    ]
    score = percent(examples.predictions.scores[place, label])
    size = examples.predictions.sizes[place]
    drawn = tuple(share_box(box, size, mark) for box, mark in marks) if boxes else ()
    return Figure(thumbnail, f"{name}, a training picture", score, drawn)


def share_box(box: ndarray, size: ndarray, mark: int) -> tuple[float, float, float, float, int]:
    """A box, given in pixels, as (x, y, width, height) in per cent of the picture's ``size``, and its number."""
    x1, y1, x2, y2 = 100 * box / np.array([*size, *size])
    return round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2), mark


def crops(
    guide: FieldGuide, thumbnails: Thumbnails, label: int, mark: int, against: int | None, count: int
) -> list[Figure]:
    """Crops of the objects of a class, or of its parts of one cluster (``mark``), that have the highest scores.

    With ``against``, the score is the class's score minus that of the class ``against``.
    """
    examples, name = guide.examples[label], guide.names[label]
    scores = examples.predictions.scores if mark == OBJECT else examples.predictions.part_scores
    boxes = examples.predictions.objects if mark == OBJECT else examples.predictions.parts
    owners = np.arange(len(examples.samples)) if mark == OBJECT else examples.predictions.owners
    clusters = np.full(len(owners), OBJECT) if mark == OBJECT else examples.predictions.clusters
    margins = scores[:, label] - (scores[:, against] if against is not None else 0)
    figures = []
    for place in best_marks(margins, clusters, owners, mark, count):
        thumbnail = thumbnails.crop(examples.samples[owners[place]].path, as_box(boxes[place]))
        if thumbnail:
            figures.append(Figure(thumbnail, f"{mark_name(mark)} of {name}", percent(scores[place, label])))
    return figures


def mistakes(
    guide: FieldGuide, thumbnails: Thumbnails, wrong: Sequence[Mistake]
) -> list[tuple[Mistake, str, Figure | None]]:
    """Misclassified test pictures with their file names; the figure is None if the file is no longer there."""
    rows = []
    for mistake in wrong:
        path = guide.test_paths.get(mistake.key)
        thumbnail = thumbnails.whole(path) if path else None
        alt = f"{guide.names[mistake.label]}, a test picture called {guide.names[mistake.predicted]}"
        file = printable(mistake.key.rpartition("/")[2], 60)
        rows.append((mistake, file, Figure(thumbnail, alt) if thumbnail else None))
    return rows


def mark_name(mark: int) -> str:
    """The displayed name of a kind of part, which the recogniser knows by its number only."""
    return "Object" if mark == OBJECT else f"Part {mark + 1}"


def class_page(label: int) -> str:
    """The file of a class's page, relative to the guide's folder."""
    return f"classes/{label + 1:04d}.html"


def pair_page(a: int, b: int) -> str:
    """The file of a pair's page; the order of the two classes does not matter."""
    return f"pairs/{min(a, b) + 1:04d}-{max(a, b) + 1:04d}.html"


def percent(share: float | np.floating) -> str:
    """A share as a percentage, such as ``83 %``, with a no-break space."""
    return f"{100 * share:.0f}\u00a0%"
