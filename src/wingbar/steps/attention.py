"""Steps of attention: saliency, object boxes, parts and their alignment, for every training picture."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch.nn import functional as F
from torch.utils.data import DataLoader

from wingbar.attention import Alignment, align, crop_boxes, look, object_box, part_boxes, part_responses
from wingbar.config import Rule
from wingbar.learning.loop import normalize, predict_logits
from wingbar.learning.views import View, fixed_loader
from wingbar.nets.neurons import neuron_layer
from wingbar.opam.alignment import cluster_neurons, cluster_responses
from wingbar.opam.principal import principal_direction
from wingbar.steps.job import Job
from wingbar.steps.nets import net_of, new_net, starting_point
from wingbar.steps.views import object_views, views_of
from wingbar.store import Result, pack, unpack

PRINCIPAL_PICTURES = 600
"""Pictures that the principal direction is computed from, drawn at random."""


def locator(job: Job, classnet: Result) -> Result:
    """A net of one "class", the object: the principal direction of the starting weights' feature maps.

    Without starting weights ClassNet's own features are used. Empty when no rule asks for the principal map.
    """
    config = job.config
    wanted = asks_for_principal(job)

    def compute() -> Result:
        if not wanted:
            return Result()
        net = net_of(job, classnet) if config.weights == "none" else new_net(job, config.weights)
        net.to(job.hardware.device).to(memory_format=torch.channels_last)
        net.eval()
        rng = np.random.default_rng(config.seed)
        drawn = np.sort(rng.permutation(len(job.samples))[:PRINCIPAL_PICTURES])
        batches = whole_squares(job, config.locating_size(), drawn)
        with torch.no_grad():
            direction = principal_direction(
                net.forward_features(normalize(squares.to(job.hardware.device), net)).float().cpu()
                for squares, _, _ in batches
            )
        net.head = torch.nn.Linear(net.num_features, 1, bias=True)
        net.head.weight.data, net.head.bias.data = direction[None], torch.zeros(1)
        return Result({key: tensor.detach().cpu().numpy() for key, tensor in net.state_dict().items()})

    inputs = [classnet] if config.weights == "none" else []
    settings = [wanted, config.net, starting_point(config), config.locating_size(), config.seed]
    return job.step("locator", settings, inputs, compute)


def asks_for_principal(job: Job) -> bool:
    """Whether any localisation rule needs the principal map."""
    return any(Rule.parse(rule).source == "principal" for rule in job.config.localization.rules)


def whole_squares(job: Job, size: int, indices: Int[ndarray, "n"] | None = None) -> DataLoader:
    """Whole pictures as they are, in batches; all of them by default."""
    samples = job.samples if indices is None else [job.samples[i] for i in indices]
    return fixed_loader([View(sample.path, sample.label) for sample in samples], size, 16, job.hardware.workers)


def saliency_maps(job: Job, classnet: Result, located: Result) -> Result:
    """For every training picture ClassNet's map of its predicted class and logits, and the principal map."""
    config = job.config

    def compute() -> Result:
        maps, logits = looked_at(job, classnet, config.looking_size())
        found = {"cam": maps, "logits": logits}
        if asks_for_principal(job):
            found["principal"], _ = looked_at(job, located, config.locating_size())
        return Result(found)

    return job.step("saliency", [config.looking_size(), config.locating_size()], [classnet, located], compute)


def looked_at(job: Job, trained: Result, size: int) -> tuple[ndarray, ndarray]:
    """Maps and logits of all training pictures at one size."""
    net = net_of(job, trained)
    looked = [look(net, squares, job.hardware) for squares, _, _ in whole_squares(job, size)]
    maps, logits, _ = zip(*looked, strict=True)
    return np.concatenate(maps), np.concatenate(logits)


def object_boxes(job: Job, classnet: Result, maps: Result, candidates: Result, rule: str | None = None) -> Result:
    """Each picture's object box, by the rule whose crops ClassNet names best on validation pictures."""
    config = job.config

    def boxes_by(text: str) -> ndarray:
        parsed, side = Rule.parse(text), config.proposals.side
        looked = zip(maps.arrays[parsed.source], job.sizes, unpack(candidates.arrays), strict=True)
        return np.array([object_box(found, size, side, parsed, boxes) for found, size, boxes in looked], np.int32)

    def compute() -> Result:
        losses: dict[str, float] = {}
        if rule is None:
            net, size = net_of(job, classnet), config.looking_size()
            for tried in config.localization.rules:
                views = views_of(job, object_views(job, boxes_by(tried)), job.validation)
                losses[tried] = float(F.cross_entropy(*predict_logits(net, views, size, job.hardware)))
        best = rule or min(losses, key=losses.__getitem__)
        told = "".join(f"; {tried}: loss {loss:.3f}" for tried, loss in losses.items())
        job.reporter.say(f"  object boxes by {best}{told}")
        return Result({"boxes": boxes_by(best)}, {"rule": best, "losses": losses})

    settings = [dataclasses.asdict(config.localization), config.looking_size(), config.proposals.side, rule]
    return job.step("objects", settings, [classnet, maps, candidates], compute)


def part_choice(job: Job, candidates: Result, objects: Result, maps: Result) -> Result:
    """The telling parts of every training picture (ragged)."""
    config = job.config

    def one(index: int, boxes: ndarray) -> ndarray:
        x1, y1, x2, y2 = (int(v) for v in objects.arrays["boxes"][index])
        return part_boxes(
            boxes,
            (x1, y1, x2, y2),
            maps.arrays["cam"][index],
            job.sizes[index],
            config.proposals.side,
            config.parts,
        )

    def compute() -> Result:
        with ThreadPoolExecutor() as pool:
            return Result(pack(list(pool.map(one, range(len(job.samples)), unpack(candidates.arrays)))))

    settings = [
        getattr(config.parts, key) for key in ("count", "rule", "iou_threshold", "object_constraint", "part_constraint")
    ]
    return job.step("parts", settings, [candidates, objects, maps], compute)


def alignment(job: Job, classnet: Result, parts: Result) -> Result:
    """Clusters of ClassNet's neurons, and the cluster of every part (in the order of the parts' rows)."""
    config = job.config

    def compute() -> Result:
        net = net_of(job, classnet)
        layer, module = neuron_layer(net)
        weight = module.get_parameter("weight").detach().flatten(1).float().cpu().numpy()
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

    return job.step(
        "alignment",
        [config.parts.clusters, config.parts.alignment, config.seed, config.looking_size()],
        [classnet, parts],
        compute,
    )
