"""Steps that train nets: FilterNet, ClassNet, ObjectNet, PartNet are one function with other views."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from wingbar.config import Config
from wingbar.data.splits import folds
from wingbar.errors import ConfigError
from wingbar.learning.checkpoint import Checkpoint
from wingbar.learning.loop import fit
from wingbar.learning.probe import features, fit_head
from wingbar.learning.views import Mix, View
from wingbar.nets import create
from wingbar.nets.saliency_head import MapNet
from wingbar.nets.weights import find
from wingbar.shortage import out_of_memory
from wingbar.steps.job import Job, Kind
from wingbar.steps.views import views_of
from wingbar.store import Result

MAP_SCALE = 2
"""For RoI scoring pictures are forwarded at this many times the side that nets are trained at."""


def new_net(job: Job, weights: str | None, outputs: int | None = None) -> MapNet:
    """A net of the run's backbone with as many ``outputs`` (by default the classes) of its linear layer."""
    torch.manual_seed(job.config.seed)
    net = create(job.config.net, len(job.classes), weights, dropout=job.config.base_recipe().dropout)
    net.head = torch.nn.Linear(net.num_features, outputs or len(job.classes))
    return net


@torch.no_grad()
def try_sizes(job: Job) -> int:
    """Show the net one picture of every size it will meet, so that a net that refuses one does so now.

    Gives how many parameters it has. Raises ConfigError naming the size.
    """
    config = job.config
    sizes = {config.looking_size(): "test_size", config.size: "size"}
    if config.method == "opam":
        sizes = {MAP_SCALE * config.size: "twice the size", config.locating_size(): "locating_size", **sizes}
    net = new_net(job, None).eval()
    for size, name in sizes.items():
        try:
            net(torch.zeros(1, 3, size, size))
        except (AssertionError, RuntimeError, ValueError) as error:
            if out_of_memory(error):
                raise
            raise ConfigError(
                f"{config.net} takes no pictures of {size} px ({name}): {error}. Choose another size, --method plain "
                "(one size only), or another --net: `wingbar backbones` lists some that take any size."
            ) from None
    return sum(parameter.numel() for parameter in net.parameters())


def starting_weights(config: Config) -> str | None:
    """What `create` is given."""
    return None if config.weights == "none" else config.weights


def starting_point(config: Config) -> str:
    """The starting weights by content where they are a file, by name where timm's registry has them."""
    path = find(config.net) if config.weights == "imagenet" else Path(config.weights)
    if config.weights == "none" or path is None or not path.is_file():
        return config.weights
    return hashlib.sha256(path.read_bytes()).hexdigest()


def net_of(job: Job, trained: Result) -> MapNet:
    """The net that a training step left."""
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in trained.arrays.items()}
    net = new_net(job, None, len(tensors["head.bias"]))
    net.load_state_dict(tensors)
    net.to(job.hardware.device).to(memory_format=torch.channels_last)
    return net.eval()


def learn(
    job: Job,
    name: str,
    kinds: Mapping[str, Kind],
    shares: Mapping[str, float],
    judged_by: str,
    inputs: Sequence[Result],
    start: Result | None = None,
    heads: int = 1,
    only: Int[ndarray, "t"] | None = None,
) -> Result:
    """Train one net on ``kinds`` of views, validated on the kind ``judged_by``.

    It starts from the given weights and a head fitted on those views, or from the net ``start``; every one of
    ``heads`` begins as a copy.
    ``only`` are the training indices to use instead of all.
    """
    config = job.config
    recipe = config.base_recipe() if start is None else config.follow_recipe()
    settings = [
        config.net, starting_point(config), config.size, config.precision, config.seed,
        dataclasses.asdict(recipe), dict(shares), judged_by, heads,
        None if only is None else [int(i) for i in only], job.refit,
    ]  # fmt: skip

    def compute() -> Result:
        training = job.training if only is None else only
        mixes = [
            Mix(job.samples[i].path, job.samples[i].label, {kind: of[i] for kind, of in kinds.items()}, shares)
            for i in training
        ]
        judged = views_of(job, kinds[judged_by], job.validation)
        if start is None:
            net = job.world.each(lambda: new_net(job, starting_weights(config), heads * len(job.classes)))
            source = net.weights_source
            info = {"weights": source.name, "licence": source.licence} if source else {"weights": "none"}
            if source:
                job.reporter.say(f"  starts from {source.name}, licence: {source.licence}")
            if recipe.probe_head:
                _probe(job, net, views_of(job, kinds[judged_by], training), heads)
        else:
            net = new_net(job, None, heads * len(job.classes))
            state = net_of(job, start).state_dict()
            state |= {key: torch.cat([state[key]] * heads) for key in ("head.weight", "head.bias")}
            net.load_state_dict(state)
            info = {key: start.info[key] for key in ("weights", "licence") if key in start.info}
        place = job.store.path(job.named(name))
        checkpoint = Checkpoint(place / "training.safetensors", job.store.begun(job.named(name)))
        with job.reporter.training(job.named(name), recipe.epochs, len(mixes)) as watch:
            history = fit(
                net, mixes, judged, recipe,
                size=config.size, seed=config.seed, hardware=job.hardware, checkpoint=checkpoint, watch=watch,
            )  # fmt: skip
        arrays = {key: tensor.detach().cpu().numpy() for key, tensor in net.state_dict().items()}
        return Result(arrays, {**info, "history": history.to_json()})

    result = job.step(name, settings, [*inputs, *([start] if start else [])], compute)
    job.reporter.views_left -= recipe.epochs * len(job.training if only is None else only)
    return result


def _probe(job: Job, net: MapNet, training: Sequence[View], heads: int) -> None:
    net.to(job.hardware.device).to(memory_format=torch.channels_last)
    found = features(net, training, job.config.size, job.hardware)
    weight, bias = job.world.first(lambda: fit_head(found, np.array([view.label for view in training])))
    net.head.weight.data.copy_(weight.repeat(heads, 1))
    net.head.bias.data.copy_(bias.repeat(heads))


def filter_nets(job: Job) -> list[tuple[str, Int[ndarray, "t"] | None, Int[ndarray, "held"]]]:
    """Name, training indices (None: all) and pictures to score of each FilterNet.

    Out of fold, each net scores the training pictures that it has not seen; pictures held out for
    validation take no part, since no net learns from their patches.
    """
    count = job.config.filtering.folds
    if not job.config.filtering.enabled:
        return []
    if not count:
        return [("filternet", None, job.training)]
    cuts = folds(job.labels[job.training], count, job.config.seed)
    return [(f"filternet-{fold}", job.training[fitted], job.training[held]) for fold, (fitted, held) in enumerate(cuts)]
