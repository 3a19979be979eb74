"""The steps of a run, each kept by the store: what `pipeline` lists, on real files and nets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch.nn import functional as F

from wingbar.attention import (
    Alignment,
    align,
    crop_boxes,
    look,
    object_box,
    part_boxes,
    part_responses,
    propose,
    softmax,
)
from wingbar.boxes import Box
from wingbar.config import Config
from wingbar.data.sample import Sample, Skipped
from wingbar.data.splits import folds, validation_split
from wingbar.errors import DataError, PictureError
from wingbar.images import read_picture
from wingbar.learning.loop import Hardware, fit, normalize, predict_logits
from wingbar.learning.probe import features, fit_head
from wingbar.learning.recipe import Recipe
from wingbar.learning.views import Mix, View, fixed_loader, fixed_view
from wingbar.nets import create
from wingbar.nets.neurons import neuron_layer
from wingbar.nets.saliency_head import MapNet
from wingbar.opam.alignment import cluster_neurons, cluster_responses
from wingbar.opam.filtering import crop_confidences, keep_patches, roi_confidences
from wingbar.opam.fusion import cross_validate
from wingbar.reporting import Reporter
from wingbar.store import Result, Store, pack, unpack

STREAMS = ("picture", "object", "parts")
MAP_SCALE = 2
"""For RoI scoring pictures are forwarded at this many times the side that nets are trained at."""


@dataclass(frozen=True)
class Job:
    """What every step needs: settings, pictures, where results are kept, who is told."""

    config: Config
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    """The readable training pictures."""
    data: Result
    """Their fingerprint, sizes and validation split."""
    store: Store
    hardware: Hardware
    reporter: Reporter
    refit: bool = False
    """Train on all pictures, with everything already chosen."""

    @property
    def labels(self) -> Int[ndarray, "n"]:
        """Label of each sample."""
        return np.array([sample.label for sample in self.samples], np.int64)

    @property
    def validation(self) -> Int[ndarray, "v"]:
        """Indices that choices are made on; none in a refit."""
        return self.data.arrays["validation"][:0] if self.refit else self.data.arrays["validation"]

    @property
    def training(self) -> Int[ndarray, "t"]:
        """Indices that nets are trained on."""
        return np.setdiff1d(np.arange(len(self.samples)), self.validation)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of each sample's picture."""
        return [(int(w), int(h)) for w, h in self.data.arrays["sizes"]]

    def step(
        self, name: str, settings: Any, inputs: Sequence[Result], compute: Callable[[], Result]
    ) -> Result:
        """Announce and keep one step."""
        prefix = "refit-" if self.refit else ""

        def announced() -> Result:
            self.reporter.say(f"{prefix}{name}")
            return compute()

        return self.store.step(prefix + name, settings, [self.data, *inputs], announced)


def inspect(
    samples: Sequence[Sample], config: Config, store: Store, reporter: Reporter
) -> tuple[tuple[Sample, ...], Result, tuple[Skipped, ...]]:
    """Decode every training picture once; the unreadable ones are set aside, counted and named."""
    listing = [(sample.key, sample.label, sample.path.stat().st_size) for sample in samples]

    def compute() -> Result:
        reporter.say(f"reading {len(samples)} training pictures")
        with ThreadPoolExecutor() as pool:
            sizes = list(pool.map(_size_or_reason, samples))
        bad = {sample.key: size for sample, size in zip(samples, sizes, strict=True) if isinstance(size, str)}
        good = [sample for sample in samples if sample.key not in bad]
        counts = np.bincount([sample.label for sample in good], minlength=1 + max(s.label for s in samples))
        for label, count in enumerate(counts):
            if count < 2:
                named = next(s.path.parent.name for s in samples if s.label == label)
                raise DataError(f"class {named!r} has {count} readable training pictures; at least 2 are needed.")
        labels = np.array([sample.label for sample in good])
        _, validation = validation_split(labels, config.validation, config.seed)
        return Result({"sizes": np.array([s for s in sizes if not isinstance(s, str)]), "validation": validation}, {"bad": bad})

    result = store.step("data", [listing, config.validation, config.seed], [], compute)
    bad = result.info["bad"]
    kept = tuple(sample for sample in samples if sample.key not in bad)
    skipped = tuple(Skipped(sample.path, bad[sample.key]) for sample in samples if sample.key in bad)
    return kept, result, skipped


def _size_or_reason(sample: Sample) -> tuple[int, int] | str:
    try:
        return read_picture(sample.path, short_side=64).size
    except PictureError as error:
        return str(error)


# --- nets ---------------------------------------------------------------------------------------------


def new_net(job: Job, weights: str | None, heads: int = 1) -> MapNet:
    """A net of the run's backbone; ``heads`` heads share one linear layer."""
    torch.manual_seed(job.config.seed)
    net = create(job.config.net, len(job.classes), weights, dropout=job.config.base_recipe().dropout)
    net.head = torch.nn.Linear(net.num_features, heads * len(job.classes))
    return net


def net_of(job: Job, trained: Result) -> MapNet:
    """The net that a training step left."""
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in trained.arrays.items()}
    net = new_net(job, None, len(tensors["head.weight"]) // len(job.classes))
    net.load_state_dict(tensors)
    net = net.to(job.hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval()


def learn(
    job: Job,
    name: str,
    boxes: Mapping[str, Sequence[Sequence[tuple[Box | None, int]]]],
    shares: Mapping[str, float],
    judged_by: str,
    inputs: Sequence[Result],
    start: Result | None = None,
    heads: int = 1,
    only: Int[ndarray, "t"] | None = None,
) -> Result:
    """Train one net on the ``boxes`` (kind -> picture -> views), validated on the kind ``judged_by``.

    It starts from the given weights, or from the net ``start``, whose head every one of ``heads`` copies.
    ``only`` are the training indices to use instead of all.
    """
    config = job.config
    recipe = config.base_recipe() if start is None else config.follow_recipe()
    settings = [
        config.net, config.weights, config.size, config.precision, config.seed,
        dataclasses.asdict(recipe), dict(shares), judged_by, heads,
        None if only is None else [int(i) for i in only], job.refit,
    ]  # fmt: skip

    def compute() -> Result:
        training = job.training if only is None else only
        views = {
            kind: [[View(s.path, s.label, *view) for view in of] for s, of in zip(job.samples, all_of, strict=True)]
            for kind, all_of in boxes.items()
        }
        mixes = [
            Mix(job.samples[i].path, job.samples[i].label, {kind: boxes[kind][i] for kind in boxes}, shares)
            for i in training
        ]
        judged = [view for i in job.validation for view in views[judged_by][i]]
        if start is None:
            net = new_net(job, None if config.weights == "none" else config.weights)
            source = net.weights_source
            info = {"weights": source.name, "licence": source.licence} if source else {"weights": "none"}
            if recipe.probe_head:
                _probe(job, net, [views[judged_by][i][0] for i in training], judged)
        else:
            net = new_net(job, None, heads)
            state = net_of(job, start).state_dict()
            state |= {key: torch.cat([state[key]] * heads) for key in ("head.weight", "head.bias")}
            net.load_state_dict(state)
            info = {key: start.info[key] for key in ("weights", "licence") if key in start.info}
        state_file = job.store.path(("refit-" if job.refit else "") + name) / "training.safetensors"
        with job.reporter.training(name, recipe.epochs, len(mixes)) as watch:
            history = fit(
                net, mixes, judged, recipe,
                size=config.size, seed=config.seed, hardware=job.hardware, state_file=state_file, watch=watch,
            )  # fmt: skip
        arrays = {key: tensor.detach().cpu().numpy() for key, tensor in net.state_dict().items()}
        return Result(arrays, {**info, "history": history.to_json()})

    return job.step(name, settings, [*inputs, *([start] if start else [])], compute)


def _probe(job: Job, net: MapNet, training: Sequence[View], judged: Sequence[View]) -> None:
    net.to(job.hardware.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = [features(net, views, job.config.size, job.hardware) if views else np.zeros((0, net.num_features)) for views in (training, judged)]
    labels = [np.array([view.label for view in views], np.int64) for views in (training, judged)]
    weight, bias, accuracy = fit_head(found[0], labels[0], found[1], labels[1])
    net.head.weight.data.copy_(weight)
    net.head.bias.data.copy_(bias)
    job.reporter.say(f"  head fitted on frozen features: val_accuracy {accuracy:.3f}")


WHOLE: tuple[tuple[Box | None, int], ...] = ((None, -1),)


def filter_nets(job: Job) -> list[tuple[str, Int[ndarray, "t"] | None, Int[ndarray, "held"]]]:
    """Name, training indices (None: all) and pictures to score of each FilterNet.

    Out of fold, each net scores the training pictures that it has not seen; pictures held out for
    validation take no part, since no net learns from their patches.
    """
    count = job.config.filtering.folds
    if not count:
        return [("filternet", None, job.training)]
    cuts = folds(job.labels[job.training], count, job.config.seed)
    return [
        (f"filternet-{fold}", job.training[fitted], job.training[held])
        for fold, (fitted, held) in enumerate(cuts)
    ]


def whole_pictures(job: Job) -> dict[str, Any]:
    """The kind ``picture``: each picture whole."""
    return {"picture": [WHOLE] * len(job.samples)}


# --- patches ------------------------------------------------------------------------------------------


def proposals(job: Job) -> Result:
    """Candidate boxes of every training picture (ragged, best first)."""
    settings = job.config.proposals

    def compute() -> Result:
        def one(sample: Sample) -> ndarray:
            return propose(read_picture(sample.path, short_side=settings.side), settings)

        with ThreadPoolExecutor() as pool:
            found = list(pool.map(one, job.samples))
        return Result(pack(found), {"mean_count": float(np.mean([len(boxes) for boxes in found]))})

    return job.step("proposals", dataclasses.asdict(settings), [], compute)


def patches(job: Job, candidates: Result, filternets: Sequence[tuple[Result, Int[ndarray, "held"]]]) -> Result:
    """The candidates that FilterNet trusts; ``filternets`` come with the pictures that each one scores."""
    settings = job.config.filtering

    def compute() -> Result:
        boxes = unpack(candidates.arrays)
        kept = [np.zeros((0, 4), np.int32)] * len(boxes)
        confident = total = 0
        for trained, held in filternets:
            net = net_of(job, trained)
            for index in held:
                if len(boxes[index]) == 0:
                    continue
                scores = _confidences(job, net, int(index), boxes[index])
                confident, total = confident + int((scores > settings.threshold).sum()), total + len(scores)
                kept[index] = boxes[index][keep_patches(scores, settings.threshold, settings.cap)]
        share = confident / max(total, 1)
        job.reporter.say(f"  {share:.1%} of {total} patches are above the threshold")
        return Result(pack(kept), {"share_above": share})

    def unfiltered() -> Result:
        return Result(pack([boxes[: settings.cap] for boxes in unpack(candidates.arrays)]))

    inputs = [candidates, *(trained for trained, _ in filternets)]
    chosen = compute if settings.enabled else unfiltered
    return job.step("patches", [dataclasses.asdict(settings), job.config.size], inputs, chosen)


@torch.no_grad()
def _confidences(job: Job, net: MapNet, index: int, boxes: Int[ndarray, "n 4"]) -> ndarray:
    sample, size, device = job.samples[index], job.config.size, job.hardware.device
    if job.config.filtering.scorer == "crop":
        views = [View(sample.path, sample.label, box) for box in crop_boxes(boxes, job.sizes[index], 0.0)]
        batches = fixed_loader(views, size, 64, 0)
        scores = [crop_confidences(net, normalize(pixels.to(device), net), sample.label) for pixels, _, _ in batches]
        return torch.cat(scores).cpu().numpy()
    side = MAP_SCALE * size
    picture = normalize(fixed_view(View(sample.path, sample.label), side)[None].to(device), net)[0]
    width, height = job.sizes[index]
    scaled = boxes * np.array([side / width, side / height] * 2)
    return roi_confidences(net, picture, scaled, sample.label).cpu().numpy()


# --- attention ----------------------------------------------------------------------------------------


def saliency_maps(job: Job, classnet: Result) -> Result:
    """ClassNet's map of its predicted class, and logits, for every training picture."""

    def compute() -> Result:
        net = net_of(job, classnet)
        views = [View(sample.path, sample.label) for sample in job.samples]
        batches = fixed_loader(views, job.config.looking_size(), 32, job.hardware.workers)
        looked = [look(net, squares, job.hardware) for squares, _, _ in batches]
        maps, logits = (np.concatenate(parts) for parts in zip(*looked, strict=True))
        return Result({"maps": maps, "logits": logits})

    return job.step("saliency", [job.config.looking_size()], [classnet], compute)


def object_boxes(job: Job, classnet: Result, maps: Result, threshold: str | None = None) -> Result:
    """Each picture's object box, by the threshold whose crops ClassNet names best on validation pictures."""
    config = job.config

    def boxes_by(rule: str, indices: Sequence[int]) -> ndarray:
        side = config.proposals.side
        return np.array([object_box(maps.arrays["maps"][i], job.sizes[i], side, rule) for i in indices], np.int32)

    def compute() -> Result:
        losses: dict[str, float] = {}
        if threshold is None:
            net, size = net_of(job, classnet), config.looking_size()
            for rule in config.localization.thresholds:
                views = crop_views(job, boxes_by(rule, job.validation), job.validation)
                losses[rule] = float(F.cross_entropy(*predict_logits(net, views, size, job.hardware)))
        best = threshold or min(losses, key=losses.__getitem__)
        job.reporter.say(f"  threshold {best}" + "".join(f"; {rule}: loss {loss:.3f}" for rule, loss in losses.items()))
        return Result({"boxes": boxes_by(best, range(len(job.samples)))}, {"threshold": best, "losses": losses})

    settings = [dataclasses.asdict(config.localization), config.looking_size(), config.proposals.side, threshold]
    return job.step("objects", settings, [classnet, maps], compute)


def crop_views(job: Job, boxes: Int[ndarray, "n 4"], indices: Sequence[int]) -> list[View]:
    """One view of each object box, with context."""
    margin = job.config.localization.margin
    return [
        View(job.samples[i].path, job.samples[i].label, crop_boxes([box], job.sizes[i], margin)[0])
        for i, box in zip(indices, boxes, strict=True)
    ]


def part_choice(job: Job, candidates: Result, objects: Result, maps: Result) -> Result:
    """The telling parts of every training picture (ragged)."""
    config = job.config

    def one(index: int, boxes: ndarray) -> ndarray:
        x1, y1, x2, y2 = (int(v) for v in objects.arrays["boxes"][index])
        return part_boxes(boxes, (x1, y1, x2, y2), maps.arrays["maps"][index], job.sizes[index], config.proposals.side, config.parts)

    def compute() -> Result:
        with ThreadPoolExecutor() as pool:
            return Result(pack(list(pool.map(one, range(len(job.samples)), unpack(candidates.arrays)))))

    settings = [
        getattr(config.parts, key)
        for key in ("count", "rule", "iou_threshold", "object_constraint", "part_constraint")
    ]
    return job.step("parts", settings, [candidates, objects, maps], compute)


def alignment(job: Job, classnet: Result, parts: Result) -> Result:
    """Clusters of ClassNet's neurons, and the cluster of every part (in the order of the parts' rows)."""
    config = job.config

    def compute() -> Result:
        net = net_of(job, classnet)
        layer, module = neuron_layer(net)
        weight = module.weight.detach().flatten(1).float().cpu().numpy()  # type: ignore[operator, union-attr]
        neurons = cluster_neurons(weight, config.parts.clusters, config.seed)
        boxes = unpack(parts.arrays)
        views = [
            View(sample.path, sample.label, box)
            for sample, of, size in zip(job.samples, boxes, job.sizes, strict=True)
            for box in crop_boxes(of, size, 0.0)
        ]
        batches = fixed_loader(views, config.looking_size(), 32, job.hardware.workers)
        responses = np.concatenate([part_responses(net, squares, layer, job.hardware) for squares, _, _ in batches])
        answers = cluster_responses(responses, neurons, config.parts.clusters, config.parts.alignment)
        aligned = Alignment(layer, neurons, answers.mean(0), answers.std(0))
        rows = [
            align(responses[start:stop], aligned, config.parts)
            for start, stop in zip(parts.arrays["offsets"][:-1], parts.arrays["offsets"][1:], strict=True)
        ]
        arrays = {"neurons": neurons, "mean": aligned.mean, "deviation": aligned.deviation}
        return Result({**arrays, "clusters": np.concatenate(rows)}, {"layer": layer})

    return job.step("alignment", [config.parts.clusters, config.parts.alignment, config.seed, config.looking_size()], [classnet, parts], compute)


Kind = list[list[tuple[Box | None, int]]]


def patch_views(job: Job, patches: Result) -> Kind:
    """The kind ``patch``: what is kept of each picture's candidates."""
    boxes = zip(unpack(patches.arrays), job.sizes, strict=True)
    return [[(box, -1) for box in crop_boxes(of, size, 0.0)] for of, size in boxes]


def object_views(job: Job, objects: Result) -> Kind:
    """The kind ``object``: each picture's object, with context."""
    margin = job.config.localization.margin
    boxes = zip(objects.arrays["boxes"], job.sizes, strict=True)
    return [[(box, -1) for box in crop_boxes([of], size, margin)] for of, size in boxes]


def part_views(job: Job, parts: Result, aligned: Result) -> Kind:
    """The kind ``part``: each picture's part crops, with the head that judges them."""
    own_head = job.config.parts.heads == "per-cluster"
    clusters = np.split(aligned.arrays["clusters"], parts.arrays["offsets"][1:-1])
    return [
        [(box, int(c) if own_head else -1) for box, c in zip(crop_boxes(of, size, 0.0), own, strict=True)]
        for of, own, size in zip(unpack(parts.arrays), clusters, job.sizes, strict=True)
    ]


def part_heads(job: Job) -> int:
    """Heads of PartNet."""
    return job.config.parts.clusters if job.config.parts.heads == "per-cluster" else 1


# --- fusion -------------------------------------------------------------------------------------------


def fusion(job: Job, maps: Result, kinds: Mapping[str, Kind], objectnet: Result, partnet: Result) -> Result:
    """Weights of picture, object and parts, by cross-validation on the validation pictures."""

    def compute() -> Result:
        labels = job.labels[job.validation]
        picture = softmax(maps.arrays["logits"][job.validation])
        scores = np.stack([picture, _mean_scores(job, objectnet, kinds["object"]), _mean_scores(job, partnet, kinds["part"])])
        found = cross_validate(scores, labels, seed=job.config.seed)
        alone = (scores.argmax(2) == labels).mean(1)
        told = [
            f"{name} {weight:.2f} (alone {accuracy:.3f})"
            for name, weight, accuracy in zip(STREAMS, found.weights, alone, strict=True)
        ]
        job.reporter.say(f"  weights: {', '.join(told)}; together {found.held_out_accuracy:.3f} on held-out folds")
        info = {"weights": list(found.weights), "held_out_accuracy": found.held_out_accuracy}
        return Result({"scores": scores, "labels": labels}, info)

    settings = [job.config.seed, job.config.looking_size()]
    return job.step("fusion", settings, [maps, objectnet, partnet], compute)


def _mean_scores(job: Job, trained: Result, kind: Kind) -> ndarray:
    """Mean probability over each validation picture's views of one kind, each by its own head."""
    of = [kind[i] for i in job.validation]
    views = [
        View(job.samples[i].path, job.samples[i].label, *view)
        for i, own in zip(job.validation, of, strict=True)
        for view in own
    ]
    logits, _ = predict_logits(net_of(job, trained), views, job.config.looking_size(), job.hardware)
    cuts = np.cumsum([len(own) for own in of])[:-1]
    return np.stack([own.mean(0) for own in np.split(softmax(logits.numpy()), cuts)])
