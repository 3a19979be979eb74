"""The one training loop: every net of every method learns here.

Device, precision and gradients' clipping are Lightning Fabric's; the loop is ours. An epoch's end is
written down whole, and all randomness comes from (seed, epoch, index), so a training that was cut off
goes on to the very weights that an uninterrupted one reaches.

Several ranks share each batch out: DistributedDataParallel, or `shard`, averages their gradients, weighted here so that
the mean is that of the whole batch. Batch norms that are trained take the statistics of a rank's share on a CPU, of the
whole batch on GPUs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from wingbar._system.distributed import World
from wingbar._system.memory import free_memory
from wingbar.errors import RunError
from wingbar.learning.checkpoint import Checkpoint
from wingbar.learning.hardware import Hardware
from wingbar.learning.history import Epoch, History, finished
from wingbar.learning.learner import Learner, learner_of
from wingbar.learning.portions import Portions
from wingbar.learning.recipe import Recipe
from wingbar.learning.schedule import rate_at
from wingbar.learning.views import EpochSampler, Mix, TrainViews, View, fixed_loader, load_views
from wingbar.nets.saliency_head import MapNet, normalize


@dataclass
class Watch:
    """Who is told how a training goes; each does nothing by default."""

    step: Callable[[int, int, int, float], None] = field(default=lambda epoch, step, steps, rate: None)
    """After each step: epoch, step, steps an epoch, pictures a second so far in this epoch."""
    epoch: Callable[[Epoch], None] = field(default=lambda epoch: None)
    """After each epoch."""
    say: Callable[[str], None] = field(default=lambda text: None)
    """Of a checkpoint that cannot be used, and of memory that does not suffice."""


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
    watch: Watch | None = None,
) -> History:
    """Train ``net`` in place and leave it, in eval mode, with the weights of its best epoch.

    Without validation views the last epoch is the best. With ``checkpoint`` the state after each epoch
    is kept there, and a training found there goes on from it; a damaged one begins again.
    Raises ConfigError for a batch of fewer pictures than ranks.
    """
    watch, world = watch or Watch(), hardware.world
    device = hardware.device
    sampler = world.each(lambda: EpochSampler(len(mixes), recipe.batch_size, seed, world))
    if world.size > 1 and device.type == "cuda" and not recipe.frozen_norms:
        net = convert_sync_batchnorm(net)
    net.to(device).to(memory_format=torch.channels_last)
    portions = portions_of(net, size, sampler.batch_size, recipe, hardware, watch)
    learner = learner_of(net, recipe, hardware)
    history, best = taken_up(checkpoint, learner, portions, len(sampler), size, recipe, hardware, watch)
    loader = load_views(
        TrainViews(mixes, size, recipe, seed),
        sampler,
        hardware.workers,
        persistent_workers=hardware.workers > 0,
        generator=torch.Generator(),  # the loader's own draws must not shift dropout's
    )
    while not finished(history, recipe):
        sampler.epoch = len(history.epochs)
        measured = run_epoch(learner, loader, sampler, recipe, portions, hardware, watch)
        if not recipe.frozen_norms:
            world.average(running_statistics(learner.net, learner.average))
        kept = learner.judged()
        val_loss, val_accuracy = validate(kept, validation, size, recipe, hardware)
        history = history.add(replace(measured, val_loss=val_loss, val_accuracy=val_accuracy))
        if history.best == sampler.epoch or not validation:
            best = {name: tensor.detach().cpu().clone() for name, tensor in kept.state_dict().items()}
            history = replace(history, best=sampler.epoch)
        if checkpoint is not None:
            write_down(checkpoint, learner, best, history, portions, world)
        watch.epoch(history.epochs[-1])
    net.load_state_dict(best)
    net.eval()
    return history


def portions_of(net: MapNet, size: int, batch_size: int, recipe: Recipe, hardware: Hardware, watch: Watch) -> Portions:
    """In how many portions memory lets a training take its batches.

    Several ranks never divide a batch: all of them have to compute the same portions.
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
    watch: Watch,
) -> tuple[History, dict[str, Tensor]]:
    """Take up a training of ``steps`` an epoch where the checkpoint left it: its epochs so far and its best weights."""
    stored = hardware.world.first(lambda: read(checkpoint, watch))
    if stored is None:
        return History(), {}
    state, info = stored
    history = History.from_json(info)
    portions.count = max(portions.count, info.get("portions", 1))
    if hardware.world.size > 1 and not hardware.sharded:
        rehearse(learner.wrapped_net, len(history.epochs) * steps, size, recipe, hardware)
    learner.restore(state)
    return history, {name.removeprefix("best."): t for name, t in state.items() if name.startswith("best.")}


def read(checkpoint: Checkpoint | None, watch: Watch) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
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
    """Keep the end of an epoch. Every rank has its part in each tensor, and the first alone keeps the whole."""
    state = {name: tensor for name, tensor in learner.state() if world.rank == 0}
    state |= {f"best.{name}": tensor for name, tensor in best.items()}
    world.first(partial(checkpoint.write, state, {**history.to_json(), "portions": portions.count}))


def rehearse(net: Any, done: int, size: int, recipe: Recipe, hardware: Hardware) -> None:
    """Bring ranks that go on after ``done`` steps to where they were, by passes there and back that teach nothing.

    DistributedDataParallel learns in its first two steps in what order gradients come, and from the third on adds them
    up in other portions, so in another order. What the passes change in the net is put back or set to zero next.
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
    watch: Watch,
) -> Epoch:
    """One pass over the training pictures; validation figures are left at nan and filled in later."""
    world, epoch, net, optimizer = hardware.world, sampler.epoch, learner.wrapped_net, learner.wrapped_optimizer
    # Dropout's draws: the same after a resume, and each rank's its own.
    torch.manual_seed((sampler.seed * 100_003 + epoch) * world.size + world.rank)
    training_mode(net, recipe)
    steps, seen, total, started = len(loader), 0, torch.zeros((), device=hardware.device), time.perf_counter()
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
        seen += sampler.batch_size
        watch.step(epoch, step + 1, steps, seen / (time.perf_counter() - started))
    nan, every = float("nan"), sum(world.gather(lambda: float(total)))
    return Epoch(epoch, every / seen, nan, nan, rate, seen / (time.perf_counter() - started))


def descend(
    net: Any, batch_size: int, recipe: Recipe, hardware: Hardware, pixels: Tensor, labels: Tensor, clusters: Tensor
) -> Float[Tensor, ""]:
    """Add what these pictures of a batch of ``batch_size`` have in its gradient; gives their summed loss."""
    labels = labels.to(hardware.device)
    logits = judge(net(normalize(pixels.to(hardware.device), net)), clusters, net.num_classes)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    hardware.fabric.backward(loss * (len(labels) * hardware.world.size / batch_size))
    return loss.detach() * len(labels)


def batch_norms(net: nn.Module) -> Iterator[_BatchNorm]:
    """All its batch norms."""
    return (module for module in net.modules() if isinstance(module, _BatchNorm))


def running_statistics(*nets: nn.Module | None) -> Iterator[Tensor]:
    """The means and variances that batch norms have gathered: each rank's own until they are averaged."""
    for net in nets:
        for norm in batch_norms(net) if net is not None else ():
            yield from (statistic for statistic in (norm.running_mean, norm.running_var) if statistic is not None)


def training_mode(net: nn.Module, recipe: Recipe) -> None:
    """Train mode, with batch norms left in eval mode where the recipe freezes their statistics."""
    net.train()
    for norm in batch_norms(net) if recipe.frozen_norms else ():
        norm.eval()


def judge(
    scores: Float[Tensor, "batch outputs"], clusters: Int[Tensor, "batch"], classes: int
) -> Float[Tensor, "batch classes"]:
    """Each view's logits from the head of its own cluster; cluster -1: the mean over the heads.

    With one head (all nets but a PartNet with a head for each cluster) these are the scores themselves.
    """
    if scores.shape[1] == classes:
        return scores
    heads = scores.unflatten(1, (-1, classes))
    of_cluster = heads[torch.arange(len(heads), device=heads.device), clusters.to(heads.device).clamp(min=0)]
    return torch.where(clusters.to(heads.device)[:, None] >= 0, of_cluster, heads.mean(1))


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

    def judged() -> Iterator[tuple[Tensor, Tensor]]:
        for pixels, targets, clusters in fixed_loader(views, size, batch_size, hardware.workers, hardware.world):
            with hardware.fabric.autocast():
                scores = net(normalize(pixels.to(hardware.device), net)).float().cpu()
            yield judge(scores, clusters, net.num_classes), targets

    logits, labels = zip(*hardware.world.collect(judged), strict=True)
    return torch.cat(logits), torch.cat(labels)
