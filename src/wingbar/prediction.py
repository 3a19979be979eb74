"""The prediction of a recogniser for one picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from PIL import Image

from wingbar._system.text import display_names, printable
from wingbar.boxes import Box
from wingbar.errors import PictureError
from wingbar.explain.panel import panel
from wingbar.explain.placing import part_names
from wingbar.images import READ_SIDE, Source, read_picture
from wingbar.opam.candidates import candidate_set
from wingbar.opam.maps import resize_map
from wingbar.opam.place import at_place
from wingbar.opam.pooling import pool_occasion
from wingbar.opam.taxonomy import Lineages, climb, thresholds

COVERAGE = 0.9
"""Share of pictures whose true class is among the candidates, where nothing else is said."""
ACCURACY = 0.95
"""Share of answers that are right, where nothing else is said."""
TOP = 5
"""How many of the likeliest classes are told, where nothing else is said."""


@dataclass(frozen=True, eq=False)
class Part:
    """One telling part."""

    box: Box
    cluster: int
    """Which group of neurons it excites: parts of one cluster show the same place of different objects."""
    scores: dict[str, float]
    """Label -> probability, by this part alone."""


@dataclass(frozen=True)
class Answer:
    """The most precise answer that is right often enough: a class, a larger group, or none."""

    accuracy: float
    """Share of such answers that is to be right, in (0, 1)."""
    name: str | None
    """The class or the group; None where there is no answer."""
    level: str | None
    """``class``, or what the group is: ``genus``, ``family``, ``look-alikes``."""
    score: float
    """Probability of the class or of the group's classes together; of no answer, of the widest that was tried."""
    shown: str
    """The name for people; also of what was tried last, where there is no answer."""
    classes: tuple[str, ...]
    """The classes of the group, the likeliest first."""
    why: str
    """What class and groups score, and what each needs to, as sentences."""

    @property
    def text(self) -> str:
        """The answer and why, as sentences."""
        times = f"{100 * self.accuracy:g} times in 100"
        if self.name is None:
            return f"No answer is right {times}. {self.why}"
        return f"Right {times}: {self.shown} ({printable(self.level or '')}). {self.why}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON knows them."""
        named = {"name": self.name, "level": self.level, "score": round(self.score, 6), "classes": list(self.classes)}
        return {"accuracy": self.accuracy, **named, "text": self.text}


def answer_of(scores: Mapping[str, float], lineages: Lineages, accuracy: float = ACCURACY) -> Answer:
    """The answer to a picture, given its ``scores`` in descending order: see `Prediction.answer`."""
    if not 0 < accuracy < 1:
        raise ValueError(f"accuracy is {accuracy}; it must be between 0 and 1.")
    tried, sure = climb(lineages, scores, accuracy)
    row = next(row for row in lineages.rows if row[0] == next(iter(scores)))
    shown = [display_names(list(scores))[0], *map(printable, row[1:])]
    level, members, score, _ = tried[-1]
    return Answer(
        accuracy=accuracy,
        name=row[level] if sure else None,
        level=lineages.levels[level] if sure else None,
        score=score,
        shown=shown[level],
        classes=tuple(name for name in scores if name in members) if sure else (),
        why=" ".join(
            f"{printable(lineages.levels[number]).capitalize()} {shown[number]}: {score:.1%}, "
            + ("and no score is enough." if needed > 1 else f"at least {needed:.1%} needed.")
            for number, _, score, needed in tried
        ),
    )


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one picture. Of a picture that cannot be read it has only ``path`` and ``error``."""

    path: str | None
    size: tuple[int, int] = (0, 0)
    """(width, height) of the original picture, upright."""
    scores: dict[str, float] = field(default_factory=dict)
    """Label -> fused probability, the likeliest first."""
    object_box: Box = (0, 0, 0, 0)
    """x1, y1, x2, y2 in pixels of the original, half-open."""
    parts: tuple[Part, ...] = ()
    streams: dict[str, dict[str, float]] = field(default_factory=dict)
    """picture, object, parts, joint (all of these views at once) -> label -> probability."""
    saliency_map: Float32[ndarray, "h w"] = field(default_factory=lambda: np.zeros((1, 1), np.float32))
    """Where the net looked, in [0, 1], at the net's own resolution; `saliency` has the picture's size."""
    evidence: Float32[ndarray, "classes h w"] = field(default_factory=lambda: np.zeros((0, 1, 1), np.float32))
    """What speaks for each class where, in logits, in the order of `Recognizer.classes`."""
    held_out: tuple[float, ...] = ()
    """Probabilities of the true classes of held-out pictures, ascending: what `candidates` goes by."""
    known: float | None = None
    """How likely the picture shows a class of the model, in [0, 1], if every other picture did (`opam.strangers`).

    None where the model cannot say."""
    least_known: float = 0.0
    """`known` below which the picture is taken for a `stranger`."""
    lineages: Lineages | None = None
    """Groups of the classes, and how well they are told: what `answer` goes by; None where the model cannot say."""
    held_out_by_class: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """The same as ``held_out`` of each class with enough of them for a threshold of its own."""
    everywhere: dict[str, float] = field(default_factory=dict)
    """Label -> fused probability before the list of a place (`at`); empty where there was none."""
    top_count: int = TOP
    """How many classes `top` and `to_dict` tell, where they are not asked for another number: ``predict(top=)``."""
    error: str | None = None

    @property
    def label(self) -> str:
        """The likeliest class. Raises PictureError for a picture that could not be read."""
        if self.error is not None:
            raise PictureError(self.error)
        return next(iter(self.scores))

    @property
    def score(self) -> float:
        """Probability of `label`."""
        return self.scores[self.label]

    def top(self, count: int | None = None) -> dict[str, float]:
        """The ``count`` likeliest classes and their probabilities, the likeliest first; by default `top_count`.

        Raises PictureError for a picture that could not be read.

        >>> import wingbar
        >>> prediction = wingbar.load("run").predict("some_picture.jpg")
        >>> len(prediction.top(2)), list(prediction.top(2))[0] == prediction.label
        (2, True)
        """
        if self.error is not None:
            raise PictureError(self.error)
        return _likeliest(self.scores, self.top_count if count is None else count)

    @property
    def stranger(self) -> bool:
        """Whether the picture seems to show none of the classes; `label` is the one that it looks most like then."""
        return self.known is not None and self.known < self.least_known

    @property
    def outside(self) -> float:
        """What the model gave to classes that are not on the list of a place, in [0, 1]; 0 without a list."""
        return max(0.0, 1 - sum(self.everywhere[name] for name in self.scores)) if self.everywhere else 0.0

    def at(self, weights: Mapping[str, float]) -> Prediction:
        """The answer where the classes of ``weights`` live, and are so frequent (`opam.place`).

        ``scores`` are then of these classes alone; what streams, parts and `known` say is as it was.
        """
        if self.error is not None:
            return self
        everywhere = self.everywhere or self.scores
        return replace(self, scores=at_place(everywhere, weights), everywhere=everywhere)

    def candidates(self, coverage: float = COVERAGE) -> tuple[str, ...]:
        """The likeliest classes, as many as hold the true one in a share ``coverage`` of pictures, in (0, 1).

        This holds for pictures of the same kind as the training's, on average, and of each class with 30 held-out
        pictures for itself (`opam.candidates`). The set is large
        where the answer is doubtful. Without held-out pictures it has all classes.
        On the list of a place they are told without its frequencies: a listed one stays, so they hold the true class,
        if it is listed, at least as often.
        Raises ValueError for an impossible ``coverage``, PictureError for a picture that could not be read.

        >>> import wingbar
        >>> prediction = wingbar.load("run").predict("some_picture.jpg")
        >>> prediction.candidates(0.8)[0] == prediction.label
        True
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage is {coverage}; it must be between 0 and 1.")
        if self.error is not None:
            raise PictureError(self.error)
        if not self.everywhere:
            return candidate_set(self.scores, self.held_out, coverage, self.held_out_by_class)
        listed = at_place(self.everywhere, dict.fromkeys(self.scores, 1.0))
        among = {self.label, *candidate_set(listed, self.held_out, coverage, self.held_out_by_class)}
        return tuple(name for name in self.scores if name in among)

    def answer(self, accuracy: float = ACCURACY) -> Answer:
        """The most precise answer that is right in a share ``accuracy`` of pictures, in (0, 1), by held-out pictures.

        It is the likeliest class, or else the least of its larger groups (genus, family) that reaches the score which
        such answers need (`opam.taxonomy`); or there is none. This holds for pictures of known classes, of the same
        kind as the training's. Raises ValueError for an impossible ``accuracy``, PictureError for a picture that could
        not be read and for a model that cannot say.

        >>> import wingbar
        >>> prediction = wingbar.load("run").predict("some_picture.jpg")
        >>> prediction.answer(0.8).name in (prediction.label, None) or len(prediction.answer(0.8).classes) > 1
        True
        """
        if self.error is not None:
            raise PictureError(self.error)
        if self.lineages is None:
            raise PictureError(
                "no answer at an accuracy: the model, or a single pass, has no held-out pictures for it."
            )
        return answer_of(self.scores, self.lineages, accuracy)

    def answers_at(self, accuracy: float = ACCURACY) -> bool:
        """Whether the model's held-out pictures are enough to keep an ``accuracy`` by some answer."""
        return self.lineages is not None and min(thresholds(self.lineages, accuracy)) <= 1

    def worth_telling(self, accuracy: float = ACCURACY) -> Answer | None:
        """`answer`, where the model `answers_at` the accuracy, and not just with the likeliest class."""
        answer = self.answer(accuracy) if self.answers_at(accuracy) else None
        return None if answer is None or answer.name == self.label else answer

    def lean(self) -> Prediction:
        """Itself without maps, which fill the memory where many predictions are kept."""
        return replace(self, evidence=np.zeros((0, 1, 1), np.float32), saliency_map=np.zeros((1, 1), np.float32))

    @property
    def saliency(self) -> Float32[ndarray, "height width"]:
        """Where the net looked, in [0, 1], at the picture's size."""
        return resize_map(self.saliency_map, self.size)

    def __repr__(self) -> str:
        """One line: the picture, its class, the object's box."""
        if self.error is not None:
            return f"<Prediction: {printable(self.error)}>"
        where = "" if self.path is None else f" of '{printable(self.path)}'"
        parts = f", {len(self.parts)} parts" if self.parts else ""
        named = f"'{printable(self.label)}' {self.score:.1%}" if self.scores else "nothing"
        named = f"none of {len(self.everywhere or self.scores)} classes, most like {named}" if self.stranger else named
        return f"<Prediction{where}: {named}, object at {tuple(self.object_box)}{parts}>"

    def _repr_png_(self) -> bytes | None:
        """What notebooks show: `plot` as a PNG file, or None (the line of `repr`) where no picture is at ``path``."""
        content = io.BytesIO()
        try:
            self.plot().save(content, "PNG")
        except PictureError:
            return None
        return content.getvalue()

    def plot(self, picture: Source | None = None) -> Image.Image:
        """A sheet 1200 pixels wide: boxes, heat map, streams, and why the best class and not the next.

        ``picture`` is what was predicted, needed where it had no path. Raises PictureError.
        """
        source = picture if picture is not None else self.path
        if source is None:
            raise PictureError("this prediction has no path: call plot(picture) with the picture that was predicted.")
        read = read_picture(source, short_side=READ_SIDE)
        if self.error is None and read.size != self.size:
            raise PictureError(f"a picture of {read.size}, but {self.size} was predicted: give plot() the same one.")
        return panel(read, self)

    def to_dict(self, top: int | None = None, accuracy: float = ACCURACY) -> dict[str, Any]:
        """Plain values, as JSON knows them: the ``top`` likeliest classes, boxes, and each stream's vote.

        ``candidates`` are those of `COVERAGE`, left out where the model has no held-out pictures, as are ``known`` and
        ``stranger``, and `answer` at the ``accuracy``, where the model `answers_at` it. With the list of a place there
        are ``listed``, the number of its classes, and ``outside``. ``top`` is by default `top_count`.

        Of a picture that could not be read: ``path`` and ``error``.
        """
        if self.error is not None:
            return {"path": self.path, "error": self.error}
        count = self.top_count if top is None else top

        def best(scores: dict[str, float]) -> dict[str, float]:
            return {label: round(score, 6) for label, score in _likeliest(scores, count).items()}

        names = part_names([part.cluster for part in self.parts])
        return {
            "path": self.path,
            "label": self.label,
            "score": round(self.score, 6),
            "scores": best(self.scores),
            **({"candidates": list(self.candidates())} if self.held_out else {}),
            **({} if self.known is None else {"known": round(self.known, 6), "stranger": self.stranger}),
            **self._of_place(),
            **({"answer": self.answer(accuracy).to_dict()} if self.answers_at(accuracy) else {}),
            "size": list(self.size),
            "object_box": list(self.object_box),
            "parts": [
                {"name": name, "box": list(part.box), "cluster": part.cluster, "scores": best(part.scores)}
                for name, part in zip(names, self.parts, strict=True)
            ],
            "streams": {name: best(scores) for name, scores in self.streams.items()},
        }

    def _of_place(self) -> dict[str, Any]:
        return {"listed": len(self.scores), "outside": round(self.outside, 6)} if self.everywhere else {}


def _likeliest(scores: Mapping[str, float], count: int) -> dict[str, float]:
    return dict(sorted(scores.items(), key=lambda item: -item[1])[:count])


def of_one_occasion(predictions: Sequence[Prediction], top: int = TOP, accuracy: float = ACCURACY) -> dict[str, Any]:
    """One answer to pictures of the same thing, as JSON knows it: ``paths``, ``label``, ``score``, ``scores``.

    ``known`` is the mean of the pictures', and ``stranger`` what it says, where the model can say; likewise ``answer``,
    that at the ``accuracy``. Of pictures none of which could be read: ``paths`` and ``error``.

    >>> import wingbar
    >>> from wingbar.prediction import of_one_occasion
    >>> recognizer = wingbar.load("run")
    >>> answer = of_one_occasion(recognizer.predict(["some_picture.jpg", "more_pictures/one.jpg"]))
    >>> answer["label"] in recognizer.classes
    True
    """
    read = [one for one in predictions if one.error is None]
    paths = [one.path for one in predictions]
    if not read:
        return {"paths": paths, "error": predictions[0].error}
    names = list(read[0].scores)
    scores = pool_occasion(np.array([[one.scores[name] for name in names] for one in read]))
    everything = {names[i]: round(float(scores[i]), 6) for i in np.argsort(-scores, kind="stable")}
    ranked = dict(islice(everything.items(), top))
    label, score = next(iter(ranked.items()))
    known = [one.known for one in read if one.known is not None]
    likely = float(np.mean(known)) if len(known) == len(read) else None
    strange = {} if likely is None else {"known": round(likely, 6), "stranger": likely < read[0].least_known}
    lineages = read[0].lineages if read[0].answers_at(accuracy) else None
    answer = {} if lineages is None else {"answer": answer_of(everything, lineages, accuracy).to_dict()}
    outside = round(float(np.mean([one.outside for one in read])), 6)
    place = {"listed": len(names), "outside": outside} if read[0].everywhere else {}
    return {"paths": paths, "label": label, "score": score, "scores": ranked, **strange, **answer, **place}
