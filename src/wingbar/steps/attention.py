"""Steps of attention: saliency, object boxes, parts and their alignment, for every training picture."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float32, Int
from numpy import ndarray
from torch.nn import functional as F

from wingbar.attention import box_from_corners, box_from_map, part_boxes
from wingbar.boxes import as_box
from wingbar.config import Rule
from wingbar.learning.loop import predict_logits
from wingbar.learning.views import View, batches, fixed_loader
from wingbar.maps import pool_boxes, stretch
from wingbar.nets.looking import BoxHead
from wingbar.nets.neurons import neuron_layer
from wingbar.nets.saliency_head import MapNet, normalize
from wingbar.opam.alignment import assign_parts, cluster_neurons, cluster_responses
from wingbar.opam.box_regression import fit_corners
from wingbar.opam.localization import vote_box
from wingbar.opam.principal import Moments
from wingbar.runtime import Look
from wingbar.steps.job import Job
from wingbar.steps.nets import net_of, new_net, starting_point
from wingbar.steps.views import object_views, views_of
from wingbar.store import Result, pack, unpack
from wingbar.torch_runtime import TorchRuntime

AT_ONCE = 16
"""Pictures a batch."""
PRINCIPAL_PICTURES = 600
"""Pictures that principal directions are computed from, drawn at random."""
BOX_PICTURES = 2000
"""Pictures that boxes are learnt from, drawn at random."""
BOX_COMPONENTS, BOX_NUMBERS = 64, 8192
"""Principal directions of the features that boxes are learnt from, and numbers a picture, at most."""
BASIS_PICTURES = 200
"""About how many pictures these directions are computed from."""


def principal_maps(job: Job, classnet: Result) -> Result:
    """Every training picture's map along the principal direction of the starting weights' features, in [0, 1].

    Without starting weights ClassNet's own features are used. Empty when no rule asks for the principal map.
    """
    config, wanted = job.config, "principal" in job.config.localization.sources()

    def compute() -> Result:
        if not wanted:
            return Result()
        if config.weights == "none":
            net = net_of(job, classnet)
        else:
            net = job.world.each(lambda: new_net(job, config.weights))
        net.to(job.hardware.device).to(memory_format=torch.channels_last)
        net.eval()
        size = config.locating_size()
        some = drawn(job, np.arange(len(job.samples)), PRINCIPAL_PICTURES)
        direction = moments(job, net, size, some).principal()
        net.head = torch.nn.Linear(net.num_features, 1)
        net.head.weight.data, net.head.bias.data = direction[None], torch.zeros(1)
        net.to(job.hardware.device)
        maps = job.world.collect(lambda: (stretch(seen.evidence[:, 0]) for seen in looks(job, net, size)))
        return Result({"maps": np.concatenate(maps)})

    own, inputs = (job, [classnet]) if config.weights == "none" else (job.before_refit(), [])
    settings = [wanted, config.net, starting_point(config), config.locating_size(), config.seed]
    return own.step("principal", settings, inputs, compute)


def drawn(job: Job, indices: Int[ndarray, "n"], count: int) -> Int[ndarray, "m"]:
    """At most ``count`` of the pictures ``indices``, ascending."""
    return np.sort(np.random.default_rng(job.config.seed).permutation(indices)[:count])


def feature_maps(
    job: Job, net: MapNet, size: int, indices: Int[ndarray, "n"], mirrored: bool = False
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Feature maps of whole pictures and, if asked for, of their mirrors, in batches on the CPU: the rank's share."""
    views = [View(job.samples[i].path, job.samples[i].label) for i in indices]
    loader = fixed_loader(views, size, AT_ONCE, job.hardware.workers, job.world)
    for pixels, _, _ in job.reporter.watched(loader, len(loader)):
        batch = normalize(pixels.to(job.hardware.device), net)
        with torch.no_grad():
            own = net.forward_features(batch).float().cpu()
            yield own, net.forward_features(batch.flip(3)).float().cpu() if mirrored else own


def moments(job: Job, net: MapNet, size: int, indices: Int[ndarray, "n"]) -> Moments:
    """Of the features of the pictures ``indices``, added batch by batch in their order on every rank."""
    return sum(job.world.stream(Moments.of(own) for own, _ in feature_maps(job, net, size, indices)), Moments())


def looks(job: Job, net: MapNet, size: int, boxes: BoxHead | None = None, layer: str | None = None) -> Iterator[Look]:
    """What prediction would see of every training picture, in batches: the rank's share."""
    runtime = TorchRuntime({"picture": net}, boxes, layer, job.hardware.device)
    views = [View(sample.path, sample.label) for sample in job.samples]
    loader = fixed_loader(views, size, AT_ONCE, job.hardware.workers, job.world)
    for pixels, _, _ in job.reporter.watched(loader, len(loader)):
        yield runtime.look(pixels.numpy())


def saliency_maps(job: Job, classnet: Result) -> Result:
    """For every training picture ClassNet's map of its predicted class, and its logits."""
    size = job.config.looking_size()

    def compute() -> Result:
        net = net_of(job, classnet)
        found = job.world.collect(lambda: (of_predicted_class(seen) for seen in looks(job, net, size)))
        maps, logits = zip(*found, strict=True)
        return Result({"cam": np.concatenate(maps), "logits": np.concatenate(logits)})

    return job.step("saliency", [size], [classnet], compute)


def of_predicted_class(seen: Look) -> tuple[Float32[ndarray, "batch h w"], Float32[ndarray, "batch classes"]]:
    """Each picture's map in [0, 1] of its likeliest class, and its logits."""
    return stretch(seen.evidence[np.arange(len(seen.logits)), seen.logits.argmax(1)]), seen.logits


def map_boxes(
    job: Job, classnet: Result, maps: Result, principal: Result, candidates: Result, rule: str | None = None
) -> Result:
    """Each picture's object box cut from a map, by the rule whose crops ClassNet names best on validation pictures."""
    config, boxes = job.config, unpack(candidates.arrays)

    def boxes_by(text: str) -> ndarray:
        parsed, side = Rule.parse(text), config.proposals.side
        source = maps.arrays["cam"] if parsed.source == "cam" else principal.arrays["maps"]
        own = job.world.share(range(len(job.samples)))
        found = job.world.collect(lambda: (box_from_map(source[i], job.sizes[i], side, parsed, boxes[i]) for i in own))
        return np.array(found, np.int32)

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

    settings = [config.localization.rules, config.localization.margin, config.looking_size(), config.proposals.side]
    return job.step("map-boxes", [*settings, rule], [classnet, maps, principal, candidates], compute)


def object_boxes(job: Job, classnet: Result, cut: Result, candidates: Result) -> Result:
    """Each picture's object box as ClassNet's features tell it, learnt from the boxes that candidates vote ``cut`` to.

    Where nothing is to be learnt (`LocalizationSettings.learn`), the boxes ``cut`` from maps themselves.
    """
    config, given = job.config, cut.arrays["boxes"]

    def compute() -> Result:
        if not config.localization.learn:
            return Result({"boxes": given})
        net, size = net_of(job, classnet), config.looking_size()
        used = drawn(job, job.training, BOX_PICTURES)  # boxes of held-out pictures must be as good as those of new ones
        some = used[:: max(len(used) // BASIS_PICTURES, 1)]
        basis = moments(job, net, size, some)
        places = basis.count // len(some)
        directions = basis.directions(min(BOX_COMPONENTS, max(BOX_NUMBERS // places, 1))).float()
        projected = job.world.collect(
            lambda: (
                [torch.einsum("bchw,kc->bkhw", features, directions).numpy() for features in both]
                for both in feature_maps(job, net, size, used, mirrored=True)
            )
        )
        own, mirrored = (np.concatenate(maps) for maps in zip(*projected, strict=True))
        voters = unpack(candidates.arrays)
        voted = np.array([vote_box(as_box(given[i]), voters[i]) for i in used])
        weight, bias = fit_corners(own, mirrored, voted / np.tile(job.sizes, 2)[used])
        head = BoxHead(torch.einsum("vkhw,kc->vchw", torch.from_numpy(weight), directions), torch.from_numpy(bias))
        corners = np.concatenate(job.world.collect(lambda: (seen.corners for seen in looks(job, net, size, head))))
        boxes = [box_from_corners(found, size) for found, size in zip(corners, job.sizes, strict=True)]
        return Result({"boxes": np.array(boxes, np.int32), **{k: v.numpy() for k, v in head.state_dict().items()}})

    settings = [config.localization.learn, config.looking_size(), config.seed]
    return job.step("objects", settings, [classnet, cut, candidates], compute)


def part_choice(job: Job, candidates: Result, objects: Result, maps: Result) -> Result:
    """The telling parts of every training picture (ragged)."""
    config, boxes = job.config, unpack(candidates.arrays)

    def one(index: int) -> ndarray:
        region, found = as_box(objects.arrays["boxes"][index]), maps.arrays["cam"][index]
        return part_boxes(boxes[index], region, found, job.sizes[index], config.proposals.side, config.parts)

    def compute() -> Result:
        return Result(pack(job.world.map(one, range(len(job.samples)), job.reporter.watched)))

    settings = [
        getattr(config.parts, key) for key in ("count", "rule", "iou_threshold", "object_constraint", "part_constraint")
    ]
    return job.step("parts", settings, [candidates, objects, maps], compute)


def alignment(job: Job, classnet: Result, parts: Result) -> Result:
    """Clusters of ClassNet's neurons, and the cluster of every part (in the order of the parts' rows)."""
    config, boxes = job.config, unpack(parts.arrays)

    def answers_of(net: MapNet, layer: str, neurons: ndarray) -> Iterator[list[ndarray]]:
        shown = looks(job, net, config.looking_size(), layer=layer)
        for batch, seen in zip(job.world.share(batches(len(job.samples), AT_ONCE)), shown, strict=True):
            pooled = [pool_boxes(own, boxes[i], job.sizes[i]) for i, own in zip(batch, seen.neurons, strict=True)]
            yield [cluster_responses(one, neurons, config.parts.clusters, config.parts.alignment) for one in pooled]

    def compute() -> Result:
        net = net_of(job, classnet)
        layer, module = neuron_layer(net)
        weight = module.get_parameter("weight").detach().flatten(1).float().cpu().numpy()
        neurons = job.world.first(lambda: cluster_neurons(weight, config.parts.clusters, config.seed))
        told = job.world.collect(lambda: answers_of(net, layer, neurons))
        answers = [one for batch in told for one in batch]
        every = np.concatenate(answers)
        mean, deviation = every.mean(0), every.std(0)
        rows = [assign_parts(one, mean, deviation, config.parts.alignment) for one in answers]
        arrays = {"neurons": neurons, "mean": mean, "deviation": deviation, "clusters": np.concatenate(rows)}
        return Result(arrays, {"layer": layer})

    settings = [config.parts.clusters, config.parts.alignment, config.seed, config.looking_size()]
    return job.step("alignment", settings, [classnet, parts], compute)
