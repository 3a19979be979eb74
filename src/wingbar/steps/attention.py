"""Steps of attention: saliency, object boxes, parts and their alignment, for every training picture."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy import ndarray
from torch.nn import functional as F

from wingbar.attention import Alignment, align, crop_boxes, look, object_box, part_boxes, part_responses
from wingbar.learning.loop import predict_logits
from wingbar.learning.views import View, fixed_loader
from wingbar.nets.neurons import neuron_layer
from wingbar.opam.alignment import cluster_neurons, cluster_responses
from wingbar.steps.job import Job
from wingbar.steps.nets import net_of
from wingbar.steps.views import object_views, views_of
from wingbar.store import Result, pack, unpack


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

    def boxes_by(rule: str) -> ndarray:
        side = config.proposals.side
        looked = zip(maps.arrays["maps"], job.sizes, strict=True)
        return np.array([object_box(found, size, side, rule) for found, size in looked], np.int32)

    def compute() -> Result:
        losses: dict[str, float] = {}
        if threshold is None:
            net, size = net_of(job, classnet), config.looking_size()
            for rule in config.localization.thresholds:
                views = views_of(job, object_views(job, boxes_by(rule)), job.validation)
                losses[rule] = float(F.cross_entropy(*predict_logits(net, views, size, job.hardware)))
        best = threshold or min(losses, key=losses.__getitem__)
        job.reporter.say(f"  threshold {best}" + "".join(f"; {rule}: loss {loss:.3f}" for rule, loss in losses.items()))
        return Result({"boxes": boxes_by(best)}, {"threshold": best, "losses": losses})

    settings = [
        dataclasses.asdict(config.localization),
        config.looking_size(),
        config.proposals.side,
        threshold,
    ]
    return job.step("objects", settings, [classnet, maps], compute)


def part_choice(job: Job, candidates: Result, objects: Result, maps: Result) -> Result:
    """The telling parts of every training picture (ragged)."""
    config = job.config

    def one(index: int, boxes: ndarray) -> ndarray:
        x1, y1, x2, y2 = (int(v) for v in objects.arrays["boxes"][index])
        return part_boxes(
            boxes,
            (x1, y1, x2, y2),
            maps.arrays["maps"][index],
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
