"""OPAM and the plain baseline as the list of their steps, in the paper's order."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch.nn.parallel import DistributedDataParallel

from wingbar import steps
from wingbar.config import Config, fill
from wingbar.data import load as load_data
from wingbar.data.sample import Dataset
from wingbar.errors import ConfigError, suggestion
from wingbar.heap import keep_freed_memory
from wingbar.learning.hardware import Hardware
from wingbar.learning.sharding import shard
from wingbar.nets.zoo import require_known
from wingbar.ranks import ALONE, World, opened
from wingbar.recognizer import Recognizer, load
from wingbar.reporting import Reporter
from wingbar.saving import save_model
from wingbar.store import Result, Store, locked

PLAIN_STEPS = ("data", "filternet")
OPAM_STEPS = (
    "data", "filternet", "proposals", "patches", "classnet", "saliency", "principal", "map-boxes", "objects",
    "objectnet", "parts", "alignment", "partnet", "fusion",
)  # fmt: skip
SMALL = 1_000_000
"""Parameters below which a net learns faster where a core is left to its loaders, which have as much to do."""


def train(
    data: Path | str | Dataset,
    out: Path | str,
    config: Config | None = None,
    *,
    redo_from: str | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Recognizer:
    """Learn the classes of a data set and keep everything in the run folder ``out``.

    ``settings`` are fields of `Config`, over ``config``. Steps that are already in the folder and whose
    inputs and settings are unchanged are not done again; ``redo_from`` names the step to start anew from.
    Under torchrun all its processes share the work, and the first of them alone needs ``out``.
    Raises DataError, ConfigError, WeightsError or RunError.
    """
    with opened() as world:
        dataset = data if isinstance(data, Dataset) else world.first(lambda: load_data(Path(data)))
        config, names = world.each(lambda: planned(config or Config(), settings, redo_from))
        reporter = Reporter(Path(out), quiet, idle=world.rank > 0)
        _train(dataset, config, names, Store(Path(out), redo_from, reporter.say, world), reporter)
        return load(out, world=world)


def planned(config: Config, settings: dict[str, Any], redo_from: str | None) -> tuple[Config, tuple[str, ...]]:
    """The whole settings and the steps they ask for. Raises ConfigError."""
    config = fill(config, settings, "")
    require_known(config.net)
    names = step_names(config)
    if redo_from is not None and redo_from not in names:
        raise ConfigError(f"no step {redo_from!r}.{suggestion(redo_from, names)} Steps: {', '.join(names)}.")
    return config, names


def _train(dataset: Dataset, config: Config, names: tuple[str, ...], store: Store, reporter: Reporter) -> None:
    world = store.world
    with locked(store.folder, world):
        samples, data_result, skipped = steps.inspect(dataset, config, store, reporter)
        for one in (*dataset.skipped, *skipped):
            reporter.say(f"skipped {str(one.path)!r}: {one.reason}")
        hardware = world.each(lambda: open_hardware(config, world))
        job = steps.Job(config, dataset.classes, samples, data_result, store, hardware, reporter)
        announce(job, dataset, names)
        with threads_for(world.each(lambda: steps.try_sizes(job))):
            learned = opam(job) if config.method == "opam" else plain(job)
            if config.refit:
                job = dataclasses.replace(job, refit=True)
                learned = opam(job, learned) if config.method == "opam" else plain(job)
        world.first(lambda: save_model(store.folder / "model", job, dataset, learned))


def step_names(config: Config) -> tuple[str, ...]:
    """The steps that a run with these settings is made of."""
    if config.method == "plain":
        return PLAIN_STEPS
    return tuple(name for name in OPAM_STEPS if name != "filternet" or config.filtering.enabled)


@contextmanager
def threads_for(parameters: int) -> Iterator[None]:
    """Compute on all cores; a net of so few ``parameters`` that it is `SMALL` on all but one.

    It is one core whatever the number of loaders: sums over another number of threads differ in their last bits,
    and loaders are to change nothing but the speed. Measured in docs/performance.md, "Input".
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(max(threads - 1, 1) if parameters < SMALL else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def open_hardware(config: Config, world: World = ALONE) -> Hardware:
    """The device and precision that the settings ask for, a rank a device; the process keeps the memory it frees.

    Raises ConfigError for what is not there.
    """
    keep_freed_memory()
    precision = config.precision
    if precision == "auto":
        gpu = config.device in ("auto", "cuda") and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if gpu else "32-true"
    machines = world.size // world.local_size
    try:
        fabric = Fabric(
            accelerator=config.device, strategy=_strategy(config, world), devices=world.local_size, num_nodes=machines,
            precision=precision,
        )  # fmt: skip
        fabric.launch()
        return Hardware(fabric, config.workers, world)
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise ConfigError(f"device {config.device!r} with precision {config.precision}: {error}") from None


def _strategy(config: Config, world: World) -> Strategy | str:
    """Ranks keep their own running statistics, which the loop averages; every step uses the same of a net's layers."""
    if world.size == 1:
        return "auto"
    if config.strategy == "fsdp":
        return ModelParallelStrategy(shard, data_parallel_size=world.size, tensor_parallel_size=1)
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # before torch 2.14
    kept: dict[str, Any] = {name: False}
    return DDPStrategy(static_graph=True, **kept)


def plain(job: steps.Job) -> dict[str, Result]:
    """One net on whole pictures: the baseline, and OPAM's FilterNet."""
    pictures = steps.whole_pictures(job)
    return {"picture": steps.learn(job, "filternet", pictures, {"picture": 1.0}, "picture", [])}


def opam(job: steps.Job, chosen: dict[str, Result] | None = None) -> dict[str, Result]:
    """All of OPAM; ``chosen`` are the results of a run on the training cut whose choices are kept."""
    pictures = steps.whole_pictures(job)

    # Patch filtering (III.A): candidates, and those of them that show the object.
    filternets = [
        (
            steps.learn(job, name, pictures, {"picture": 1.0}, "picture", [], only=fitted),
            held,
        )
        for name, fitted, held in steps.filter_nets(job)
    ]
    candidates = steps.proposals(job)
    patches = steps.patches(job, candidates, filternets)

    # ClassNet learns from the whole pictures and the kept patches.
    kinds = {**pictures, "patch": steps.patch_views(job, patches)}
    classnet = steps.learn(job, "classnet", kinds, {"picture": 0.5, "patch": 0.5}, "picture", [patches])

    # Object-level attention (III.B): saliency, then the object's box, first cut from a map, then learnt.
    maps, principal = steps.saliency_maps(job, classnet), steps.principal_maps(job, classnet)
    rule = chosen["map-boxes"].info["rule"] if chosen else None
    cut = steps.map_boxes(job, classnet, maps, principal, candidates, rule)
    objects = steps.object_boxes(job, classnet, cut, candidates)
    kinds = {**pictures, "object": steps.object_views(job, objects.arrays["boxes"])}
    start = classnet if job.config.crops_start_from_classnet() else None
    objectnet = steps.learn(job, "objectnet", kinds, {"picture": 0.3, "object": 0.7}, "object", [objects], start)

    # Part-level attention (III.C): the telling parts, aligned by clusters of neurons.
    parts = steps.part_choice(job, candidates, objects, maps)
    aligned = steps.alignment(job, classnet, parts)
    kinds = {**kinds, "part": steps.part_views(job, parts, aligned)}
    partnet = steps.learn(
        job, "partnet", kinds, {"picture": 0.2, "object": 0.3, "part": 0.5}, "part", [objects, parts, aligned],
        start, heads=steps.part_heads(job),
    )  # fmt: skip

    # Fusion (III.D): weights from pictures that no net was trained on.
    weights = chosen["fusion"] if chosen else steps.fusion(job, maps, kinds, objectnet, partnet)
    return {
        "picture": classnet, "object": objectnet, "parts": partnet,
        "map-boxes": cut, "objects": objects, "alignment": aligned, "fusion": weights,
    }  # fmt: skip


def announce(job: steps.Job, dataset: Dataset, names: tuple[str, ...]) -> None:
    """Say beforehand what is going to be done."""
    config, say = job.config, job.reporter.say
    base, follow, count = job.config.base_recipe(), job.config.follow_recipe(), len(job.training)
    say(dataset.describe())
    say(
        f"{config.method} with {config.net} ({config.weights}) at {config.size} px, seed {config.seed}, on "
        f"{job.hardware.device}: {count} pictures to train on, {len(job.validation)} to choose by"
    )
    say(f"steps: {', '.join(names)}")
    first = base.epochs * (1 + max(config.filtering.folds, 1) if config.method == "opam" else 1)
    crops = follow if config.crops_start_from_classnet() else base
    later = 2 * crops.epochs if config.method == "opam" else 0
    job.reporter.views_left = (first + later) * count * (2 if config.refit else 1)
