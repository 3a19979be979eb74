"""The guide's pages: what each shows, as plain records for the templates in ``templates/``.

Files are named by numbers (``classes/0001.html``, ``pairs/0001-0002.html``), never by class or picture. Templates
escape everything; names are cleaned of letters that have no look first.
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
from wingbar.guide.evaluation import Judged, Mistake
from wingbar.guide.examples import Examples
from wingbar.guide.thumbnails import Thumbnail, Thumbnails
from wingbar.model.card import Card

EXAMPLES, CROPS, MISTAKES, COMPARED, ALIKE, PAIRS, LINES = 8, 6, 12, 4, 3, 8, 30
"""Most that a page shows of each kind."""
OBJECT = -1
"""Stands for the whole object where parts have the number of their cluster."""


@dataclass(frozen=True, eq=False)
class Guide:
    """All that the pages are made from."""

    card: Card
    settings: Mapping[str, str]
    examples: Sequence[Examples]
    """Of each class."""
    judged: Judged | None
    test_paths: Mapping[str, Path]

    @cached_property
    def names(self) -> list[str]:
        """Class names for people."""
        return display_names(self.card.classes)

    @cached_property
    def alike(self) -> Float[ndarray, "classes classes"]:
        """How alike two classes look to the recogniser."""
        return likeness(self._means("scores"))

    @cached_property
    def confused(self) -> ndarray:
        """Test errors, [true, named]; all zero without an evaluation."""
        return self.judged.confused if self.judged else confusion([], [], len(self.names))

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of classes that have a page, the most confused first."""
        return pairs_to_compare(self.confused, self.alike)

    @cached_property
    def points(self) -> Float[ndarray, "classes 2"]:
        """Place of each class on the map."""
        return embed(self._means("logits"))

    @property
    def marks(self) -> list[int]:
        """The object, and the clusters of parts that there are."""
        found = {int(cluster) for one in self.examples for cluster in one.answers.clusters}
        return [OBJECT, *sorted(found)]

    def _means(self, what: str) -> Float[ndarray, "classes classes"]:
        # A class without a readable picture looks like nothing: zeros.
        rows = [getattr(one.answers, what) for one in self.examples]
        return np.stack([row.mean(0) if len(row) else np.zeros(len(self.names)) for row in rows]).astype(np.float64)


@dataclass(frozen=True)
class Figure:
    """A thumbnail with its words, and boxes to draw over it as (x, y, width, height, number), shares of 100."""

    thumbnail: Thumbnail
    alt: str
    caption: str = ""
    boxes: tuple[tuple[float, float, float, float, int], ...] = ()


def write_pages(guide: Guide, folder: Path) -> Path:
    """All pages, the style and the script; files of an older guide that are no longer shown are deleted."""
    thumbnails = Thumbnails(folder)
    environment = Environment(
        loader=PackageLoader("wingbar.guide"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {
        "names": guide.names, "run": guide.card, "judged": guide.judged, "percent": percent,
        "class_page": class_page, "pair_page": pair_page, "has_page": set(guide.pairs), "mark_name": mark_name,
    }  # fmt: skip
    for name in ("style.css", "guide.js"):
        write_bytes(folder / name, files("wingbar.guide").joinpath(name).read_bytes())
    kept = set()
    for name, template, values in pages(guide, thumbnails):
        root = "../" if "/" in name else ""
        write_text(folder / name, environment.get_template(template).render(root=root, **values))
        kept.add(name)
    for file in [*folder.glob("classes/*.html"), *folder.glob("pairs/*.html")]:
        if file.relative_to(folder).as_posix() not in kept:
            file.unlink()
    thumbnails.sweep()
    return folder / "index.html"


def pages(guide: Guide, thumbnails: Thumbnails) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """File, template and values of each page; the index last, so that it never leads to a page not yet written."""
    for label in range(len(guide.names)):
        yield class_page(label), "class.html", class_values(guide, thumbnails, label)
    for pair in guide.pairs:
        yield pair_page(*pair), "pair.html", pair_values(guide, thumbnails, *pair)
    yield "map.html", "map.html", map_values(guide)
    yield "card.html", "card.html", {"settings": guide.settings}
    yield "index.html", "index.html", index_values(guide, thumbnails)


def class_values(guide: Guide, thumbnails: Thumbnails, label: int) -> dict[str, Any]:
    """One class: examples, field marks, what it is taken for, what went wrong."""
    examples, name = guide.examples[label], guide.names[label]
    wrong = [own for own in guide.judged.mistakes if own.label == label] if guide.judged else []
    shown = [
        example(examples, place, label, name, thumbnails) for place in best(examples.answers.scores[:, label], EXAMPLES)
    ]
    return {
        "label": label,
        "examples": [figure for figure in shown if figure],
        "marks": [(mark, crops(guide, thumbnails, label, mark, None, CROPS)) for mark in guide.marks],
        "facts": facts(guide, label),
        "taken_for": counted(guide.confused[label], label),
        "taken_as": counted(guide.confused[:, label], label),
        "alike": [(other, guide.alike[label, other]) for other in best(guide.alike[label], ALIKE) if other != label],
        "mistakes": mistakes(guide, thumbnails, wrong[:MISTAKES]),
        "wrong": len(wrong),
    }


def pair_values(guide: Guide, thumbnails: Thumbnails, a: int, b: int) -> dict[str, Any]:
    """Two classes side by side: the parts that tell each from the other, and the pictures that went wrong."""
    told = guide.judged.mistakes if guide.judged else ()
    sides = [
        (own, other, [m for m in told if (m.label, m.predicted) == (own, other)]) for own, other in ((a, b), (b, a))
    ]
    return {
        "a": a,
        "b": b,
        "errors": (int(guide.confused[a, b]), int(guide.confused[b, a])),
        "marks": [
            (mark, [(own, crops(guide, thumbnails, own, mark, other, COMPARED)) for own, other, _ in sides])
            for mark in guide.marks
        ],
        "sides": [(own, other, mistakes(guide, thumbnails, wrong[:MISTAKES])) for own, other, wrong in sides],
    }


def index_values(guide: Guide, thumbnails: Thumbnails) -> dict[str, Any]:
    """All classes with a picture each, and the pairs that are confused most."""
    covers = []
    for label, examples in enumerate(guide.examples):
        place = best(examples.answers.scores[:, label], 1)
        covers.append(
            example(examples, place[0], label, guide.names[label], thumbnails, boxes=False) if place else None
        )
    confused = [(a, b, int(guide.confused[a, b] + guide.confused[b, a])) for a, b in guide.pairs]
    return {
        "covers": covers,
        "facts": [facts(guide, label) for label in range(len(guide.names))],
        "pairs": [pair for pair in confused if pair[2]][:PAIRS],
        "pictures": sum(len(examples.samples) for examples in guide.examples),
    }


def map_values(guide: Guide) -> dict[str, Any]:
    """Points, labels, and lines between the classes that are confused most."""
    lines = [(a, b, int(guide.confused[a, b] + guide.confused[b, a])) for a, b in guide.pairs]
    return {"atlas": layout(guide.points, guide.names), "lines": [line for line in lines if line[2]][:LINES]}


def facts(guide: Guide, label: int) -> dict[str, Any] | None:
    """How well a class is found, with Wilson's 95 % interval; None where no test picture of it was judged."""
    own = guide.judged.record["classification"]["per_class"][label] if guide.judged else None
    if own is None or not own["count"]:
        return None
    right = round(own["recall"] * own["count"])
    low, high = share_interval(right, own["count"])
    return {**own, "right": right, "low": low, "high": high}


def counted(row: ndarray, label: int) -> list[tuple[int, int]]:
    """(other class, errors), most errors first."""
    return [(other, int(row[other])) for other in best(row.astype(float), len(row)) if row[other] and other != label]


def example(
    examples: Examples, place: int, label: int, name: str, thumbnails: Thumbnails, *, boxes: bool = True
) -> Figure | None:
    """A training picture with the recogniser's own boxes; None if its file has gone."""
    thumbnail = thumbnails.whole(examples.samples[place].path)
    if thumbnail is None:
        return None
    own = np.flatnonzero(examples.answers.owners == place)
    marks = [
        (examples.answers.objects[place], OBJECT),
        *((examples.answers.parts[i], int(examples.answers.clusters[i])) for i in own),
    ]
    score = percent(examples.answers.scores[place, label])
    size = examples.answers.sizes[place]
    drawn = tuple(share_box(box, size, mark) for box, mark in marks) if boxes else ()
    return Figure(thumbnail, f"{name}, a training picture", score, drawn)


def share_box(box: ndarray, size: ndarray, mark: int) -> tuple[float, float, float, float, int]:
    """A box as (x, y, width, height) in per cent of the picture, and its number."""
    x1, y1, x2, y2 = 100 * box / np.array([*size, *size])
    return round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2), mark


def crops(guide: Guide, thumbnails: Thumbnails, label: int, mark: int, against: int | None, count: int) -> list[Figure]:
    """A class's objects, or parts of one cluster, that score best for it; with ``against``, for it less the other."""
    examples, name = guide.examples[label], guide.names[label]
    scores = examples.answers.scores if mark == OBJECT else examples.answers.part_scores
    boxes = examples.answers.objects if mark == OBJECT else examples.answers.parts
    owners = np.arange(len(examples.samples)) if mark == OBJECT else examples.answers.owners
    clusters = np.full(len(owners), OBJECT) if mark == OBJECT else examples.answers.clusters
    told = scores[:, label] - (scores[:, against] if against is not None else 0)
    made = []
    for place in best_marks(told, clusters, owners, mark, count):
        thumbnail = thumbnails.crop(examples.samples[owners[place]].path, as_box(boxes[place]))
        if thumbnail:
            made.append(Figure(thumbnail, f"{mark_name(mark)} of {name}", percent(scores[place, label])))
    return made


def mistakes(
    guide: Guide, thumbnails: Thumbnails, wrong: Sequence[Mistake]
) -> list[tuple[Mistake, str, Figure | None]]:
    """Test pictures that went wrong, with their file's name; no figure where the file has gone."""
    found = []
    for own in wrong:
        path = guide.test_paths.get(own.key)
        thumbnail = thumbnails.whole(path) if path else None
        alt = f"{guide.names[own.label]}, a test picture called {guide.names[own.predicted]}"
        file = printable(own.key.rpartition("/")[2], 60)
        found.append((own, file, Figure(thumbnail, alt) if thumbnail else None))
    return found


def mark_name(mark: int) -> str:
    """What the recogniser calls a place: it knows numbers only."""
    return "Object" if mark == OBJECT else f"Part {mark + 1}"


def class_page(label: int) -> str:
    """File of a class's page, below the guide's folder."""
    return f"classes/{label + 1:04d}.html"


def pair_page(a: int, b: int) -> str:
    """File of a pair's page, whichever class comes first."""
    return f"pairs/{min(a, b) + 1:04d}-{max(a, b) + 1:04d}.html"


def percent(share: float | np.floating) -> str:
    """``83 %``, with a space that does not break."""
    return f"{100 * share:.0f}\u00a0%"
