"""Steps that train nets: FilterNet, ClassNet, ObjectNet, PartNet are one function with other views."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray

from wingbar._system.memory import out_of_memory
from wingbar.config import Config
from wingbar.errors import ConfigError
from wingbar.learning.checkpoint import Checkpoint
from wingbar.learning.loop import fit
from wingbar.learning.probe import features, fit_head
from wingbar.learning.views import Mix, View
from wingbar.nets import create, for_inference
from wingbar.nets.saliency_head import MapNet
from wingbar.nets.weights import find
from wingbar.opam.discriminant import require_border
from wingbar.steps.job import Job
from wingbar.steps.store import StepResult
from wingbar.steps.views import Kind, views_of

MAP_SCALE = 2
"""For RoI scoring pictures are forwarded at this many times the side that nets are trained at."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedNet(StepResult):
    """A net that was trained."""

    tensors: Mapping[str, ndarray]
    """Its weights, as in its state dict."""
    weights: str
    """Name of the weights that the training started from, or ``none``."""
    licence: str | None
    """Of those weights."""
    history: Mapping[str, Any]
    """`History.to_dict`."""


def new_net(job: Job, weights: str | None, outputs: int | None = None) -> MapNet:
    """A net of the run's backbone with as many ``outputs`` (by default the classes) of its linear layer.

    Random weights are drawn by the run's seed. The random state of the process does not change.
    """
    config = job.config
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        net = create(config.net, len(job.classes), weights, dropout=config.base_recipe().dropout)
        net.head = torch.nn.Linear(net.num_features, outputs or len(job.classes))
    return net


@torch.no_grad()
def try_sizes(job: Job) -> int:
    """Run the net on one picture of every size that the run uses, so that an unsuitable size fails at once.

    Returns the number of parameters of the net. Raises ConfigError, which names the size.
    """
    config = job.config
    sizes = {config.prediction_size(): "eval_size", config.size: "size"}
    if config.method == "opam":
        sizes = {MAP_SCALE * config.size: "twice the size", config.locating_size(): "locating_size", **sizes}
    if config.method == "field-marks":
        sizes = {config.locating_size(): "locating_size", config.picture_size(): "of whole pictures", **sizes}
    net = new_net(job, None).eval()
    for size, name in sizes.items():
        try:
            grey = torch.zeros(1, 3, size, size)
            net(grey)
            if config.method == "field-marks":
                require_border(net.forward_features(grey))
        except (AssertionError, RuntimeError, ValueError) as error:
            if out_of_memory(error):
                raise
            raise ConfigError(
                f"{config.net} takes no pictures of {size} px ({name}): {error}. Choose another size, --method plain "
                "(one size only), or another --net: `wingbar backbones` lists some that take any size."
            ) from None
    return sum(parameter.numel() for parameter in net.parameters())


def starting_weights(config: Config) -> str | None:
    """The ``weights`` for `create`: None for random ones."""
    return None if config.weights == "none" else config.weights


def starting_point(config: Config) -> str:
    """What identifies the starting weights in a step's key: the digest of a file, or the name in timm's registry."""
    path = find(config.net) if config.weights == "imagenet" else Path(config.weights)
    if config.weights == "none" or path is None or not path.is_file():
        return config.weights
    return hashlib.sha256(path.read_bytes()).hexdigest()


def net_of(job: Job, trained: TrainedNet) -> MapNet:
    """The net of a training step, in eval mode, on the run's device."""
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in trained.tensors.items()}
    net = new_net(job, None, len(tensors["head.bias"]))
    net.load_state_dict(tensors)
    net.to(job.hardware.device).to(memory_format=torch.channels_last)
    return net.eval()


def learn(
    job: Job,
    name: str,
    kinds: Mapping[str, Kind],
    shares: Mapping[str, float],
    validated_on: str,
    inputs: Sequence[StepResult],
    start: TrainedNet | None = None,
    heads: int = 1,
    only: Int[ndarray, "t"] | None = None,
) -> TrainedNet:
    """Train one net on ``kinds`` of views, shown by ``shares``, validated on the kind ``validated_on``.

    The net starts from the run's weights with a head fitted on those views, or from the net ``start``. With several
    ``heads`` all begin as copies of one. ``only`` are the training indices to use instead of all.
    """
    config = job.config
    recipe = config.base_recipe() if start is None else config.follow_recipe()
    settings = [
        config.net, starting_point(config), config.size, config.precision, config.seed,
        dataclasses.asdict(recipe), dict(shares), validated_on, heads,
        None if only is None else [int(i) for i in only], job.refit,
    ]  # fmt: skip

    def compute() -> TrainedNet:
        training = job.training if only is None else only
        mixes = [
            Mix(job.samples[i].path, job.samples[i].label, {kind: views[i] for kind, views in kinds.items()}, shares)
            for i in training
        ]
        if start is None:
            net, weights, licence = _pretrained(job, heads)
            if recipe.probe_head:
                _probe(job, net, views_of(job, kinds[validated_on], training), heads)
        else:
            net, weights, licence = _continued(job, start, heads), start.weights, start.licence
        checkpoint = Checkpoint(
            job.store.path(job.named(name)) / "training.safetensors", job.store.begun(job.named(name))
        )
        with job.reporter.training(job.named(name), recipe.epochs, len(mixes), job.views_from(name)) as watch:
            history = fit(
                net, mixes, views_of(job, kinds[validated_on], job.validation), recipe,
                size=config.size, seed=config.seed, hardware=job.hardware, checkpoint=checkpoint, watch=watch,
            )  # fmt: skip
        tensors = {key: tensor.detach().cpu().numpy() for key, tensor in net.state_dict().items()}
        return TrainedNet(tensors=tensors, weights=weights, licence=licence, history=history.to_dict())

    return job.step(name, TrainedNet, settings, [*inputs, *([start] if start else [])], compute)


def _pretrained(job: Job, heads: int) -> tuple[MapNet, str, str | None]:
    """A net of the starting weights, their name and licence."""
    net = job.world.each(lambda: new_net(job, starting_weights(job.config), heads * len(job.classes)))
    if (source := net.weights_source) is None:
        return net, "none", None
    job.reporter.say(f"  starts from {source.name}, licence: {source.licence}")
    return net, source.name, source.licence


def _continued(job: Job, start: TrainedNet, heads: int) -> MapNet:
    """A net with another's weights, and its head as often as there are ``heads``."""
    net = new_net(job, None, heads * len(job.classes))
    state = net_of(job, start).state_dict()
    net.load_state_dict(state | {key: torch.cat([state[key]] * heads) for key in ("head.weight", "head.bias")})
    return net


def _probe(job: Job, net: MapNet, training: Sequence[View], heads: int) -> None:
    frozen = for_inference(net).to(job.hardware.device).to(memory_format=torch.channels_last)
    pooled = features(frozen, training, job.config.size, job.hardware)
    weight, bias = job.world.first(lambda: fit_head(pooled, np.array([view.label for view in training])))
    net.head.weight.data.copy_(weight.repeat(heads, 1))
    net.head.bias.data.copy_(bias.repeat(heads))
