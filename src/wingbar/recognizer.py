"""What users hold: a trained recogniser that names a picture, boxes the object and its telling parts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast, get_args, overload

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from wingbar._system.distributed import ALONE, World
from wingbar._system.text import printable
from wingbar.data.checks import named
from wingbar.errors import ConfigError, PictureError, suggestion
from wingbar.images import Picture, Source
from wingbar.model.ahead import Begun, begin
from wingbar.model.card import Card
from wingbar.model.folder import Model, misstated, read_model
from wingbar.model.onnx_runtime import OnnxRuntime
from wingbar.model.reading import Reading, by_field_marks, by_opam, by_whole_pictures
from wingbar.model.runtime import Runtime
from wingbar.model.trial import try_out
from wingbar.opam.alignment import Alignment
from wingbar.opam.calibration import LEAST, calibrated
from wingbar.opam.fusion import fuse
from wingbar.opam.joint import JointHead
from wingbar.opam.place import class_weights
from wingbar.opam.pooling import pool
from wingbar.opam.strangers import ClassScatter, from_arrays, signs_of_known, votes_of
from wingbar.prediction import TOP, Part, Prediction

Device = Literal["auto", "cpu", "cuda", "mps"]
Views = Literal["all", "picture"]
"""What a prediction shows the nets: the whole picture, its object and parts; or the whole picture alone."""
Only = Collection[str] | None
Prior = Mapping[str, float] | None


class Recognizer:
    """A trained model. Make one with `wingbar.load` or `wingbar.train`."""

    def __init__(self, model: Model, runtime: Runtime) -> None:
        self.card: Card = model.card
        self.runtime = runtime
        self.classes: tuple[str, ...] = self.card.classes
        self.alignment = _alignment(model) if self.card.has_parts else None
        self.strangers = _strangers(model) if self.card.strangers else {}
        self.joint = JointHead(**model.arrays("joint")) if self.card.has_marks else None
        grown = self.card.rule.grown and not self.card.has_box_regression
        self.needs_candidates = self.card.has_parts or grown

    @property
    def fusion_weights(self) -> dict[str, float]:
        """Fusion weight of each stream."""
        return dict(self.card.fusion_weights)

    @property
    def least_known(self) -> float:
        """`Prediction.known` below which a picture is taken for a stranger."""
        return 0.0 if self.card.strangers is None else self.card.strangers.threshold

    def fuse(self, streams: Mapping[str, Float[ndarray, "*n classes"]]) -> Float[ndarray, "*n classes"]:
        """Probabilities of some streams together, by the model's weights of them and its calibration.

        Weights that are all zero count alike.
        """
        weights = np.array([self.card.fusion_weights[name] for name in streams], dtype=float)
        weights = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
        scores = np.stack(list(streams.values()))
        together = (
            pool(np.log(np.maximum(scores, LEAST)), weights.tolist()) if self.card.has_marks else fuse(scores, weights)
        )
        return calibrated(together, self.card.calibration)

    def known(
        self, streams: Mapping[str, Float[ndarray, "n classes"]], features: Mapping[str, Float[ndarray, "n channels"]]
    ) -> list[float | None]:
        """How likely each picture shows a class of the model (`opam.strangers`); None where the model cannot say."""
        count = len(next(iter(streams.values())))
        if (rule := self.card.strangers) is None:
            return [None] * count
        votes = votes_of(np.stack([streams[name] for name in self.fusion_weights]), [*self.fusion_weights.values()])
        return rule.known(signs_of_known(votes, features, self.strangers)).tolist()

    def __repr__(self) -> str:
        """One line: method, net, classes."""
        card = self.card
        return (
            f"<Recognizer: {printable(card.method)} with {printable(card.net)} at {card.eval_size} px, "
            f"{len(self.classes)} classes: {named(self.classes, limit=3)}>"
        )

    @overload
    def predict(  # type: ignore[overload-overlap] # texts are sequences
        self, picture: Source, *, views: Views = "all", only: Only = None, prior: Prior = None, top: int = TOP
    ) -> Prediction: ...
    @overload
    def predict(
        self,
        picture: Sequence[Source],
        batch_size: int = 16,
        *,
        views: Views = "all",
        only: Only = None,
        prior: Prior = None,
        top: int = TOP,
    ) -> list[Prediction]: ...
    def predict(
        self,
        picture: Source | Sequence[Source],
        batch_size: int = 16,
        *,
        views: Views = "all",
        only: Only = None,
        prior: Prior = None,
        top: int = TOP,
    ) -> Prediction | list[Prediction]:
        """Classify one picture, or each of several, and find the object and its telling parts.

        A picture is a path, the bytes of a file, a Pillow image, or an array ``[height, width]`` or
        ``[height, width, 1 | 3 | 4]`` of uint8, uint16 or bool. For a list or tuple the result is a list,
        computed ``batch_size`` pictures at a time; all predictions are in memory at once, so use `predict_many` for
        more than a few hundred. Boxes are ``(x1, y1, x2, y2)``, half-open, in pixels of the upright original.
        ``views="picture"`` shows the nets the whole picture alone, which is more than twice as fast: the answer is that
        of the stream ``picture``, with its map and a rougher box of the object, and without parts.

        ``only`` are the classes that live where the pictures come from, ``prior`` how frequent each class is there,
        in any unit; a class without a value does not live there. Scores are then of these classes alone
        (`wingbar.opam.place`), and `Prediction.outside` is what the model gave to the others.

        ``top`` is how many of the likeliest classes `Prediction.top` and `Prediction.to_dict` tell;
        `Prediction.scores` has all.

        Raises PictureError for a single picture that cannot be read; among several its prediction has ``error`` set.
        Raises ConfigError for a class that the model does not know, and for a ``top`` below one.

        >>> import wingbar
        >>> recognizer = wingbar.load("run")
        >>> prediction = recognizer.predict("some_picture.jpg")
        >>> prediction.label in recognizer.classes
        True
        >>> len(recognizer.predict(["some_picture.jpg", "more_pictures/one.jpg"]))
        2
        >>> len(recognizer.predict("some_picture.jpg", top=2).top())
        2
        >>> recognizer.predict("some_picture.jpg", only=["wren", "tree_sparrow"]).label in ("wren", "tree_sparrow")
        True
        """
        if isinstance(picture, (list, tuple)):
            return list(self.predict_many(picture, batch_size, views=views, only=only, prior=prior, top=top))
        one = [cast(Source, picture)]
        prediction = next(self.predict_many(one, batch_size=1, views=views, only=only, prior=prior, top=top))
        if prediction.error is not None:
            raise PictureError(prediction.error)
        return prediction

    def predict_many(
        self,
        pictures: Iterable[Source],
        batch_size: int = 16,
        *,
        views: Views = "all",
        only: Only = None,
        prior: Prior = None,
        top: int = TOP,
    ) -> Iterator[Prediction]:
        """Predictions in order, a batch at a time; an unreadable picture yields one with ``error`` set.

        The next batch is taken, read and searched for candidates while the nets are at work on this one. See `predict`
        for ``views``, ``only``, ``prior`` and ``top``. Raises ConfigError for a ``batch_size`` or ``top`` below one,
        unknown ``views`` or classes, and what ``pictures`` raises, once all taken before are told.
        """
        for name, number in (("batch_size", batch_size), ("top", top)):
            if number < 1:
                raise ConfigError(f"{name} is {number}; it must be at least 1.")
        if views not in (known := get_args(Views)):
            raise ConfigError(f"views {views!r} are unknown.{suggestion(views, known)} Known: {', '.join(known)}.")
        weights = class_weights(self.classes, only, prior)
        predictions = self._stream(iter(pictures), batch_size, views)
        if top != TOP:
            predictions = (replace(prediction, top_count=top) for prediction in predictions)
        return predictions if weights is None else (prediction.at(weights) for prediction in predictions)

    def _stream(self, pictures: Iterator[Source], batch_size: int, views: Views) -> Iterator[Prediction]:
        pool = ThreadPoolExecutor(thread_name_prefix="wingbar")
        search = self.card.proposals if self.needs_candidates and views == "all" else None
        try:
            coming, failure = begin(pool, pictures, batch_size, search)
            while coming:
                begun, coming = coming, []
                if failure is None:
                    coming, failure = begin(pool, pictures, batch_size, search)
                yield from self._finish(begun, views)
            if failure is not None:
                raise failure
        finally:  # also when whoever asked has gone
            pool.shutdown(cancel_futures=True)

    def _finish(self, batch: Sequence[Begun], views: Views) -> Iterator[Prediction]:
        read = [begun.picture() for begun in batch]
        good = [(begun, picture) for begun, picture in zip(batch, read, strict=True) if isinstance(picture, Picture)]
        predictions = iter(self._predict_batch([one for one, _ in good], [picture for _, picture in good], views))
        for begun, picture in zip(batch, read, strict=True):
            yield next(predictions) if isinstance(picture, Picture) else Prediction(begun.path, error=picture)

    def _predict_batch(self, begun: Sequence[Begun], pictures: Sequence[Picture], views: Views) -> list[Prediction]:
        if not begun:
            return []
        reading, card = self._read(begun, pictures, views), self.card
        parts = reading.parts or [[]] * len(begun)
        # Calibration, candidate sets, strangers and groups are told by all streams together.
        all_streams = reading.streams.keys() == self.card.fusion_weights.keys()
        scores = self.fuse(reading.streams) if all_streams else reading.streams["picture"]
        known = self.known(reading.streams, reading.features) if all_streams else [None] * len(begun)
        return [
            Prediction(
                path=one.path,
                size=picture.size,
                scores=self._ranked(scores[i]),
                object_box=reading.objects[i],
                parts=tuple(Part(part.box, part.cluster, self._named(part.scores)) for part in parts[i]),
                streams={name: self._named(of_stream[i]) for name, of_stream in reading.streams.items()},
                saliency_map=reading.maps[i],
                evidence=reading.evidence[i],
                held_out=card.held_out if all_streams else (),
                held_out_by_class=card.held_out_by_class if all_streams else {},
                known=known[i],
                least_known=self.least_known,
                lineages=card.lineages if all_streams else None,
            )
            for i, (one, picture) in enumerate(zip(begun, pictures, strict=True))
        ]

    def _read(self, begun: Sequence[Begun], pictures: Sequence[Picture], views: Views) -> Reading:
        if views == "picture":
            return by_whole_pictures(self.runtime, self.card, pictures)
        if self.joint is not None:
            return by_field_marks(self.runtime, self.card, pictures, self.joint)
        return by_opam(self.runtime, self.card, pictures, [one.candidates() for one in begun], self.alignment)

    def _named(self, scores: Float32[ndarray, "classes"]) -> dict[str, float]:
        return dict(zip(self.classes, scores.tolist(), strict=True))

    def _ranked(self, scores: ndarray) -> dict[str, float]:
        order = np.argsort(-scores, kind="stable")
        return {self.classes[i]: float(scores[i]) for i in order}


def predict_together(
    recognizer: Recognizer,
    pictures: Iterable[Source],
    batch_size: int,
    world: World,
    views: Views = "all",
    only: Only = None,
    prior: Prior = None,
) -> Iterator[Prediction]:
    """`Recognizer.predict_many`, shared out to all ranks by whole batches; without ``evidence``, which is large.

    ``pictures`` are the same on every rank, and so is what is yielded.
    """
    numbered = enumerate(pictures)
    share = (source for number, source in numbered if number // batch_size % world.size == world.rank)
    predictions = (
        replace(prediction, evidence=np.empty((0, *prediction.saliency_map.shape), np.float32))
        for prediction in recognizer.predict_many(share, batch_size, views=views, only=only, prior=prior)
    )
    for batch in world.stream(_in_batches(predictions, batch_size)):
        yield from batch


def _in_batches(predictions: Iterable[Prediction], size: int) -> Iterator[list[Prediction]]:
    batch: list[Prediction] = []
    try:
        for prediction in predictions:
            batch.append(prediction)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:  # the predictions made before it are handed on
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def load(run: Path | str, device: Device = "auto", *, runtime: Literal["torch", "onnx"] = "torch") -> Recognizer:
    """Load the recogniser of a run folder, or of a ``model`` folder that was moved elsewhere.

    ``device`` is what the nets run on. With ``"auto"`` that is the CPU where the model was trained with
    ``device="cpu"``, else a CUDA GPU where there is one, else the CPU. With ``runtime="onnx"`` the folder is an export
    (`wingbar export`), which runs on the CPU without importing torch.

    Files are safetensors, JSON and ONNX, so that loading runs no code. Checksums and shapes are checked before the nets
    are made, and the nets are tried on one grey square. Loading changes no state of the process.

    Raises RunError for a model that is missing or damaged, ConfigError for a device that is not there.

    >>> import wingbar
    >>> wingbar.load("run", device="cpu").classes
    ('house_sparrow', 'tree_sparrow', 'wren')
    """
    return load_together(run, ALONE, device, runtime)


def load_together(run: Path | str, world: World, device: str = "auto", runtime: str = "torch") -> Recognizer:
    """`load` on every rank, of which the first alone reads the folder."""
    model = world.first(lambda: read_model(run) if world.size == 1 else read_model(run).whole())
    return world.each(lambda: _recognizer_of(model, device, runtime))


def _recognizer_of(model: Model, device: str, runtime: str) -> Recognizer:
    make = _runtime_maker(model, device, runtime)
    with misstated(model.card_file):
        recognizer = Recognizer(model, make())
        neurons = 0 if recognizer.alignment is None else len(recognizer.alignment.neurons)
        try_out(model.card, recognizer.runtime, neurons, recognizer.strangers, recognizer.joint)
    return recognizer


def _runtime_maker(model: Model, device: str, runtime: str) -> Callable[[], Runtime]:
    """What makes the runtime. Raises ConfigError for a runtime or a device that there is not."""
    if device not in (devices := get_args(Device)):
        raise ConfigError(f"device {device!r} is unknown.{suggestion(device, devices)} Known: {', '.join(devices)}.")
    if runtime == "onnx":
        if device not in ("auto", "cpu"):
            raise ConfigError(f"device {device!r}: ONNX files are run on the CPU; give 'auto' or 'cpu'.")
        return lambda: OnnxRuntime(model)
    if runtime != "torch":
        raise ConfigError(f"runtime {runtime!r} is unknown. Known: torch, onnx.")
    from wingbar.model.torch_runtime import device_for, torch_runtime  # torch only where it is wanted

    chosen = device_for(device, model.card)
    return lambda: torch_runtime(model, chosen)


def _alignment(model: Model) -> Alignment:
    arrays, clusters = model.arrays("alignment"), model.card.alignment.clusters
    neurons, mean, deviation = (arrays[name] for name in ("neurons", "mean", "deviation"))
    grouped = neurons.ndim == 1 and neurons.dtype.kind in "iu" and set(neurons.tolist()) <= set(range(clusters))
    if not grouped or mean.shape != (clusters,) or deviation.shape != (clusters,):
        raise ValueError("what alignment.safetensors holds")
    return Alignment(model.card.neuron_layer or "", neurons, mean, deviation)


def _strangers(model: Model) -> dict[str, ClassScatter]:
    try:
        return from_arrays(model.arrays("strangers"))
    except ValueError as error:
        raise ValueError(f"what strangers.safetensors holds ({error})") from None
