"""What users hold: a trained recogniser that names a picture, boxes the object and its telling parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from wingbar.attention import (
    Alignment,
    align,
    box_from_corners,
    box_from_map,
    crop_boxes,
    own_heads,
    part_boxes,
    propose,
    softmax,
    squares,
)
from wingbar.boxes import Box, as_box
from wingbar.config import PartSettings, ProposalSettings, Rule, fill
from wingbar.errors import ConfigError, PictureError, RunError
from wingbar.images import READ_SIDE, Member, Picture, Source, read_picture
from wingbar.maps import stretch
from wingbar.model import Model, misstated, outputs_of, read_model
from wingbar.onnx_runtime import OnnxRuntime
from wingbar.opam.fusion import fuse
from wingbar.opam.localization import vote_box
from wingbar.prediction import Part, Prediction
from wingbar.ranks import ALONE, World
from wingbar.runtime import Look, Runtime
from wingbar.shortage import out_of_memory

NO_BOXES = np.zeros((0, 4), np.int32)


class Recognizer:
    """A trained model. Make one with `wingbar.load` or `wingbar.train`."""

    def __init__(self, model: Model, runtime: Runtime) -> None:
        self.card, self.runtime = model.card, runtime
        self.classes: tuple[str, ...] = tuple(self.card["classes"])
        self.proposals = fill(ProposalSettings(), self.card["proposals"], "proposals")
        self.part_settings = fill(PartSettings(), self.card["parts"], "parts")
        self.rule = Rule.parse(self.card["rule"])
        self.learnt_boxes = "locator" in self.card["sha256"]
        self.alignment = _alignment(model, self.part_settings.clusters) if "parts" in self.card["streams"] else None
        self.needs_candidates = self.alignment is not None or (self.rule.grown and not self.learnt_boxes)

    @property
    def weights(self) -> dict[str, float]:
        """Fusion weight of each stream."""
        return dict(self.card["streams"])

    def try_out(self) -> None:
        """Ask the nets about a grey square. Raises ValueError where their answers do not fit the card."""
        classes, side = len(self.classes), self.card["test_size"]
        square = np.full((1, 3, side, side), 127, np.uint8)
        try:
            seen = self.runtime.look(square)
            judged = {name: self.runtime.judge(name, square) for name in self.weights if name != "picture"}
        except RuntimeError as error:  # torch's word for shapes that do not go together
            if out_of_memory(error):
                raise
            raise ValueError(f"sizes ({error})") from None
        neurons = 0 if self.alignment is None else len(self.alignment.neurons)
        fits = seen.evidence.ndim == seen.neurons.ndim == 4 and seen.evidence.shape[:2] == (1, classes)
        fits &= seen.logits.shape == (1, classes) and seen.corners.shape == (1, 4) and seen.neurons.shape[1] == neurons
        fits &= all(np.isfinite(answer).all() for answer in (*seen, *judged.values()))
        if not fits or any(own.shape != (1, outputs_of(self.card, name)) for name, own in judged.items()):
            raise ValueError("what its nets answer")

    def predict(self, picture: Source) -> Prediction:
        """Name one picture: a path, the bytes of a file, a Pillow image or an array.

        Raises PictureError when it cannot be read.
        """
        prediction = next(self.predict_many([picture], batch_size=1))
        if prediction.error is not None:
            raise PictureError(prediction.error)
        return prediction

    def predict_many(self, pictures: Iterable[Source], batch_size: int = 16) -> Iterator[Prediction]:
        """Predictions in order, a batch at a time; an unreadable picture yields one with ``error`` set.

        The next batch is taken, read and searched for candidates while the nets are at work on this one.
        Raises ConfigError for a ``batch_size`` below one, and what ``pictures`` raises, once all taken before are told.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}; it must be at least 1.")
        return self._stream(iter(pictures), batch_size)

    def _stream(self, pictures: Iterator[Source], batch_size: int) -> Iterator[Prediction]:
        pool = ThreadPoolExecutor(thread_name_prefix="wingbar")
        try:
            coming, failure = self._begin(pool, pictures, batch_size)
            while coming:
                begun, coming = coming, []
                if failure is None:
                    coming, failure = self._begin(pool, pictures, batch_size)
                yield from self._finish(begun)
            if failure is not None:
                raise failure
        finally:  # also when whoever asked has gone
            pool.shutdown(cancel_futures=True)

    def _begin(self, pool: Executor, pictures: Iterator[Source], most: int) -> tuple[list[Begun], Exception | None]:
        """The next pictures, being read, and what stopped the taking if not their end."""
        begun: list[Begun] = []
        search = self.proposals if self.needs_candidates else None
        try:
            for source in islice(pictures, most):
                begun.append(Begun(source, pool, search))
        except Exception as failure:  # of whoever hands out the pictures
            return begun, failure
        return begun, None

    def _finish(self, batch: Sequence[Begun]) -> Iterator[Prediction]:
        read = [begun.picture() for begun in batch]
        good = [(begun, picture) for begun, picture in zip(batch, read, strict=True) if isinstance(picture, Picture)]
        told = iter(self._predict_batch(*zip(*good, strict=True)) if good else ())
        for begun, picture in zip(batch, read, strict=True):
            yield next(told) if isinstance(picture, Picture) else Prediction(begun.path, error=picture)

    def _predict_batch(self, begun: Sequence[Begun], pictures: Sequence[Picture]) -> list[Prediction]:
        side = self.card["test_size"]
        seen = self.runtime.look(squares(pictures, [None] * len(pictures), side))
        _finite(*seen)
        maps = stretch(seen.evidence[np.arange(len(pictures)), seen.logits.argmax(1)])
        candidates = [one.candidates() for one in begun]
        regions = self._regions(pictures, seen, maps, candidates)
        streams = {"picture": softmax(seen.logits)}
        parts: list[tuple[Part, ...]] = [()] * len(pictures)
        if "object" in self.weights:
            crops = [
                crop_boxes([own], p.size, self.card["margin"])[0] for own, p in zip(regions, pictures, strict=True)
            ]
            streams["object"] = softmax(self.runtime.judge("object", squares(pictures, crops, side)))
        if self.alignment is not None:
            parts, streams["parts"] = self._parts(pictures, regions, seen, maps, candidates, self.alignment)
        boxes = [vote_box(own, found) for own, found in zip(regions, candidates, strict=True)]
        _finite(*streams.values())
        fused = fuse(np.stack(list(streams.values())), np.array([self.weights[name] for name in streams]))
        return [
            Prediction(
                one.path, picture.size, self._ranked(fused[i]), boxes[i], parts[i],
                {name: self._named(scores[i]) for name, scores in streams.items()},
                maps[i], seen.evidence[i],
            )
            for i, (one, picture) in enumerate(zip(begun, pictures, strict=True))
        ]  # fmt: skip

    def _regions(
        self,
        pictures: Sequence[Picture],
        seen: Look,
        maps: Float32[ndarray, "batch h w"],
        candidates: Sequence[Int32[ndarray, "_ 4"]],
    ) -> list[Box]:
        """Where the object is told to be, before the candidates vote: what nets are shown."""
        sizes = [picture.size for picture in pictures]
        if self.learnt_boxes:
            return [box_from_corners(own, size) for own, size in zip(seen.corners, sizes, strict=True)]
        side, looked = self.proposals.side, zip(maps, sizes, candidates, strict=True)
        return [box_from_map(own, size, side, self.rule, found) for own, size, found in looked]

    def _parts(
        self,
        pictures: Sequence[Picture],
        regions: Sequence[Box],
        seen: Look,
        maps: Float32[ndarray, "batch h w"],
        candidates: Sequence[Int32[ndarray, "_ 4"]],
        alignment: Alignment,
    ) -> tuple[list[tuple[Part, ...]], Float32[ndarray, "batch classes"]]:
        settings, side = self.part_settings, self.proposals.side
        found = [
            part_boxes(own, region, saliency_map, picture.size, side, settings)
            for own, picture, region, saliency_map in zip(candidates, pictures, regions, maps, strict=True)
        ]
        clusters = [
            align(neurons, own, picture.size, alignment, settings)
            for neurons, own, picture in zip(seen.neurons, found, pictures, strict=True)
        ]
        owners = [picture for picture, own in zip(pictures, found, strict=True) for _ in own]
        crops = [crop for own, p in zip(found, pictures, strict=True) for crop in crop_boxes(own, p.size, 0.0)]
        logits = self.runtime.judge("parts", squares(owners, crops, self.card["test_size"]))
        scores = softmax(own_heads(logits, np.concatenate(clusters), len(self.classes)))
        judged = np.split(scores, np.cumsum([len(own) for own in found])[:-1])
        parts = [
            tuple(
                Part(as_box(box), int(cluster), self._named(score))
                for box, cluster, score in zip(own, assigned, told, strict=True)
            )
            for own, assigned, told in zip(found, clusters, judged, strict=True)
        ]
        return parts, np.stack([told.mean(0) for told in judged])

    def _named(self, scores: Float32[ndarray, "classes"]) -> dict[str, float]:
        return dict(zip(self.classes, scores.tolist(), strict=True))

    def _ranked(self, scores: ndarray) -> dict[str, float]:
        order = np.argsort(-scores, kind="stable")
        return {self.classes[i]: float(scores[i]) for i in order}


class Begun:
    """A picture being read and searched in another thread."""

    def __init__(self, source: Source, pool: Executor, search: ProposalSettings | None) -> None:
        self.path = str(source) if isinstance(source, (str, Path, Member)) else None
        self._picture = pool.submit(_read, source)
        # A pool's tasks begin in order, so this one never waits for a reading that cannot begin.
        self._candidates = pool.submit(self._search, search)

    def picture(self) -> Picture | str:
        """The picture, or why it cannot be read."""
        return self._picture.result()

    def candidates(self) -> Int32[ndarray, "_ 4"]:
        """Its candidate boxes; none where nobody asks for them."""
        return self._candidates.result()

    def _search(self, settings: ProposalSettings | None) -> Int32[ndarray, "_ 4"]:
        picture = self.picture() if settings else None
        return propose(picture, settings) if isinstance(picture, Picture) and settings else NO_BOXES


def predict_together(
    recognizer: Recognizer, pictures: Iterable[Source], batch_size: int, world: World
) -> Iterator[Prediction]:
    """`Recognizer.predict_many`, shared out to all ranks by whole batches; without ``evidence``, which is large.

    ``pictures`` are the same on every rank, and so is what is yielded.
    """
    taken = enumerate(pictures)
    own = (source for number, source in taken if number // batch_size % world.size == world.rank)
    predictions = recognizer.predict_many(own, batch_size)
    told = (replace(one, evidence=np.empty((0, *one.map.shape), np.float32)) for one in predictions)
    for batch in world.stream(_in_batches(told, batch_size)):
        yield from batch


def _in_batches(told: Iterable[Prediction], size: int) -> Iterator[list[Prediction]]:
    batch: list[Prediction] = []
    try:
        for one in told:
            batch.append(one)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:  # what was told before it is told
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def load(run: Path | str, runtime: Literal["torch", "onnx"] = "torch", *, world: World = ALONE) -> Recognizer:
    """The recogniser of a run folder, or of its ``model`` folder moved elsewhere. Raises RunError.

    With ``onnx`` the folder is an export (`wingbar export`), and torch is not imported.
    Files are safetensors, JSON and ONNX: loading runs no code. Each file is checked against its checksum, shapes are
    checked before anything of their size is made, and the nets are tried on one grey square. Of the ranks of a
    ``world`` the first alone reads the folder.
    """
    model = world.first(lambda: read_model(run) if world.size == 1 else read_model(run).whole())
    return world.each(lambda: _of(model, runtime))


def _of(model: Model, runtime: str) -> Recognizer:
    with misstated(model):
        if runtime == "onnx":
            recognizer = Recognizer(model, OnnxRuntime(model))
        else:
            from wingbar.torch_runtime import torch_runtime  # torch only where it is wanted

            recognizer = Recognizer(model, torch_runtime(model))
        recognizer.try_out()
    return recognizer


def _alignment(model: Model, clusters: int) -> Alignment:
    arrays = model.arrays("alignment")
    neurons, mean, deviation = (arrays[name] for name in ("neurons", "mean", "deviation"))
    grouped = neurons.ndim == 1 and neurons.dtype.kind in "iu" and set(neurons.tolist()) <= set(range(clusters))
    if not grouped or mean.shape != (clusters,) or deviation.shape != (clusters,):
        raise ValueError("what alignment.safetensors holds")
    return Alignment(model.card["neuron_layer"], neurons, mean, deviation)


def _finite(*answers: ndarray) -> None:
    if not all(np.isfinite(answer).all() for answer in answers):
        raise RunError("the model answers with infinite numbers or none: it is damaged; copy it again or train again.")


def _read(source: Source) -> Picture | str:
    try:
        return read_picture(source, short_side=READ_SIDE)
    except PictureError as error:
        return str(error)
