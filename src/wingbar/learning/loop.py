"""The one training loop: every net of every method learns here.

Lightning Fabric handles the device, the precision and the clipping of gradients; the loop is ours. The complete state
is saved after each epoch, and all random numbers are derived from (seed, epoch, index). So a training that was
interrupted resumes and reaches exactly the weights of an uninterrupted one.

Several ranks divide each batch among them. DistributedDataParallel, or `sharding.shard`, averages their gradients. The
loss is weighted here so that this average is the gradient of the whole batch. Batch norms that are trained use the
statistics of the rank's part of the batch on a CPU, and of the whole batch on GPUs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from wingbar._system.distributed import World
from wingbar._system.memory import free_memory
from wingbar.errors import RunError
from wingbar.learning.augmentation import augmented
from wingbar.learning.checkpoint import Checkpoint
from wingbar.learning.hardware import Hardware
from wingbar.learning.history import Epoch, History, finished
from wingbar.learning.learner import Learner, learner_of
from wingbar.learning.portions import Portions
from wingbar.learning.recipe import Recipe
from wingbar.learning.schedule import rate_at
from wingbar.learning.views import EpochSampler, FixedBatches, Mix, TrainViews, View, load_views
from wingbar.nets.saliency_head import MapNet, normalize
from wingbar.opam.alignment import logits_by_cluster


@dataclass
class TrainingWatch:
    """Functions that are called as a training goes on; each does nothing by default."""

    step: Callable[[int, int, int, float], None] = field(default=lambda epoch, step, steps, rate: None)
    """After each step: epoch, step, steps an epoch, pictures a second so far in this epoch."""
    epoch: Callable[[Epoch], None] = field(default=lambda epoch: None)
    """After each epoch."""
    say: Callable[[str], None] = field(default=lambda text: None)
    """With a message: a checkpoint cannot be used, or memory does not suffice."""


def fit(
    net: MapNet,
    mixes: Sequence[Mix],
    validation: Sequence[View],
    recipe: Recipe,
    *,
    size: int,
    seed: int,
    hardware: Hardware,
    checkpoint: Checkpoint | None = None,
    watch: TrainingWatch | None = None,
) -> History:
    """Train ``net`` in place and leave it, in eval mode, with the weights of its best epoch.

    ``mixes`` are the training pictures with the views that may be shown of each, ``size`` is the side of the squares
    in pixels. Without ``validation`` views the last epoch is the best. With ``checkpoint`` the state is saved there
    after each epoch, and a training that was interrupted resumes; where the checkpoint is damaged it begins again.
    Raises ConfigError for a batch of fewer pictures than ranks.
    """
    watch, world = watch or TrainingWatch(), hardware.world
    device = hardware.device
    sampler = world.each(lambda: EpochSampler(len(mixes), recipe.batch_size, seed, world))
    if world.size > 1 and device.type == "cuda" and not recipe.frozen_norms:
        net = convert_sync_batchnorm(net)
    net.to(device).to(memory_format=torch.channels_last)
    portions = portions_of(net, size, sampler.batch_size, recipe, hardware, watch)
    learner = learner_of(net, recipe, hardware)
    history, best = taken_up(checkpoint, learner, portions, len(sampler), size, recipe, hardware, watch)
    loader = load_views(
        TrainViews(mixes, size, recipe, seed, hardware.pictures),
        sampler,
        hardware.workers,
        persistent_workers=hardware.workers > 0,
        pin_memory=device.type == "cuda",
    )
    while not finished(history, recipe):
        sampler.epoch = len(history.epochs)
        # Dropout's draws: the same after a resume, and different ones on every rank.
        with seeded((seed * 100_003 + sampler.epoch) * world.size + world.rank, device):
            measured = run_epoch(learner, loader, sampler, recipe, portions, hardware, watch)
        if not recipe.frozen_norms:
            world.average(running_statistics(learner.net, learner.average))
        candidate = learner.candidate()
        val_loss, val_accuracy = validate(candidate, validation, size, recipe, hardware)
        history = history.add(replace(measured, val_loss=val_loss, val_accuracy=val_accuracy))
        if history.best == sampler.epoch or not validation:
            best = {name: tensor.detach().cpu().clone() for name, tensor in candidate.state_dict().items()}
            history = replace(history, best=sampler.epoch)
        if checkpoint is not None:
            write_down(checkpoint, learner, best, history, portions, world)
        watch.epoch(history.epochs[-1])
    net.load_state_dict(best)
    net.eval()
    return history


def portions_of(
    net: MapNet, size: int, batch_size: int, recipe: Recipe, hardware: Hardware, watch: TrainingWatch
) -> Portions:
    """The portions that batches are divided into so that a step fits into the free memory.

    With several ranks batches are never divided: all ranks would have to divide alike.
    """
    world, free = hardware.world, free_memory() if hardware.device.type == "cpu" else None
    portions = Portions(world.size == 1 and (recipe.frozen_norms or not list(batch_norms(net))), watch.say)
    if free is not None:
        with hardware.fabric.autocast():
            portions.fit_into(free // world.local_size, net, size, -(-batch_size // world.size))
    return portions


def taken_up(
    checkpoint: Checkpoint | None,
    learner: Learner,
    portions: Portions,
    steps: int,
    size: int,
    recipe: Recipe,
    hardware: Hardware,
    watch: TrainingWatch,
) -> tuple[History, dict[str, Tensor]]:
    """Resume a training of ``steps`` an epoch from the checkpoint; returns its epochs so far and its best weights."""
    stored = hardware.world.first(lambda: read(checkpoint, watch))
    if stored is None:
        return History(), {}
    state, info = stored
    history = History.from_dict(info)
    portions.count = max(portions.count, info.get("portions", 1))
    if hardware.world.size > 1 and not hardware.sharded:
        rehearse(learner.wrapped_net, len(history.epochs) * steps, size, recipe, hardware)
    learner.restore(state)
    return history, {name.removeprefix("best."): t for name, t in state.items() if name.startswith("best.")}


def read(checkpoint: Checkpoint | None, watch: TrainingWatch) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The state that a training goes on from; None where it begins."""
    try:
        return checkpoint.read() if checkpoint is not None else None
    except RunError as error:
        watch.say(f"{error}; the training begins again")
        return None


def write_down(
    checkpoint: Checkpoint,
    learner: Learner,
    best: dict[str, Tensor],
    history: History,
    portions: Portions,
    world: World,
) -> None:
    """Save the state after an epoch. All ranks gather each tensor; the first one writes the file."""
    state = {name: tensor for name, tensor in learner.state() if world.rank == 0}
    state |= {f"best.{name}": tensor for name, tensor in best.items()}
    world.first(partial(checkpoint.write, state, {**history.to_dict(), "portions": portions.count}))


def rehearse(net: Any, done: int, size: int, recipe: Recipe, hardware: Hardware) -> None:
    """Run up to two forward and backward passes on blank pictures, for ranks that resume after ``done`` steps.

    DistributedDataParallel records the order of the gradients in its first two steps. From the third step on it adds
    them up in that order, in other portions. The passes repeat this record, so that a resumed training adds up in the
    same order as an uninterrupted one. The caller restores the weights and zeroes the gradients that they change.
    """
    training_mode(net, recipe)
    blank = torch.zeros(2, 3, size, size, device=hardware.device)  # batch norms want two
    for _ in range(min(done, 2)):
        hardware.fabric.backward(net(blank).sum())


def run_epoch(
    learner: Learner,
    loader: DataLoader,
    sampler: EpochSampler,
    recipe: Recipe,
    portions: Portions,
    hardware: Hardware,
    watch: TrainingWatch,
) -> Epoch:
    """One pass over the training pictures; validation figures are left at nan and filled in later."""
    world, epoch, net, optimizer = hardware.world, sampler.epoch, learner.wrapped_net, learner.wrapped_optimizer
    training_mode(net, recipe)
    steps, shown, total, started = len(loader), 0, torch.zeros((), device=hardware.device), time.perf_counter()
    rate, descending = 0.0, partial(descend, net, sampler.batch_size, recipe, hardware)
    for step, batch in enumerate(loader):
        rate = rate_at(epoch + step / steps, recipe)
        set_rate(optimizer, rate)
        total += portions.add_up(batch, descending, optimizer.zero_grad)
        if recipe.clip_norm:
            hardware.fabric.clip_gradients(net, optimizer, max_norm=recipe.clip_norm, error_if_nonfinite=False)
        optimizer.step()
        if learner.average is not None:
            learner.average.update(learner.net, step=epoch * steps + step)
        shown += sampler.batch_size
        watch.step(epoch, step + 1, steps, shown / (time.perf_counter() - started))
    nan, loss = float("nan"), sum(world.gather(lambda: float(total)))
    return Epoch(epoch, loss / shown, nan, nan, rate, shown / (time.perf_counter() - started))


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within the context torch draws by ``seed``; afterwards it draws as if there had been no context."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would seed the host's other GPUs as well
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


def descend(
    net: Any,
    batch_size: int,
    recipe: Recipe,
    hardware: Hardware,
    pixels: Tensor,
    labels: Tensor,
    clusters: Tensor,
    factors: Tensor,
    blanks: Tensor,
) -> Float[Tensor, ""]:
    """Add the gradient of some pictures of a batch of ``batch_size`` to the net's; returns their summed loss."""
    pixels, labels, factors = (one.to(hardware.device, non_blocking=True) for one in (pixels, labels, factors))
    outputs = net(augmented(pixels, factors, blanks, net))
    logits = logits_by_cluster(outputs, clusters.to(hardware.device), net.num_classes)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    hardware.fabric.backward(loss * (len(labels) * hardware.world.size / batch_size))
    return loss.detach() * len(labels)


def batch_norms(net: nn.Module) -> Iterator[_BatchNorm]:
    """All its batch norms."""
    return (module for module in net.modules() if isinstance(module, _BatchNorm))


def running_statistics(*nets: nn.Module | None) -> Iterator[Tensor]:
    """The running means and variances of all batch norms. They differ between ranks until they are averaged."""
    for net in nets:
        for norm in batch_norms(net) if net is not None else ():
            yield from (statistic for statistic in (norm.running_mean, norm.running_var) if statistic is not None)


def training_mode(net: nn.Module, recipe: Recipe) -> None:
    """Train mode, with batch norms left in eval mode where the recipe freezes their statistics."""
    net.train()
    for norm in batch_norms(net) if recipe.frozen_norms else ():
        norm.eval()


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group the body's rate times the group's own factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


@torch.no_grad()
def validate(net: MapNet, views: Sequence[View], size: int, recipe: Recipe, hardware: Hardware) -> tuple[float, float]:
    """Mean cross-entropy and top-1 on ``views``; (nan, nan) without views."""
    if not views:
        return float("nan"), float("nan")
    logits, labels = predict_logits(net, views, size, hardware, batch_size=2 * recipe.batch_size)
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(1) == labels).float().mean())


@torch.no_grad()
def predict_logits(
    net: MapNet, views: Sequence[View], size: int, hardware: Hardware, batch_size: int = 64
) -> tuple[Tensor, Tensor]:
    """Logits float32 [views, classes] and labels [views], on the CPU, views as they are."""
    net.eval()

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for pixels, targets, clusters in FixedBatches(views, size, batch_size, hardware):
            with hardware.fabric.autocast():
                outputs = net(normalize(pixels.to(hardware.device), net)).float().cpu()
            yield logits_by_cluster(outputs, clusters, net.num_classes), targets

    logits, labels = zip(*hardware.world.collect(batches), strict=True)
    return torch.cat(logits), torch.cat(labels)
