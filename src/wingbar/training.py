"""Training: reads the pictures, opens the run, and takes the steps that `pipeline` lists."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from wingbar import steps
from wingbar._system.distributed import opened
from wingbar._system.locks import locked
from wingbar._system.settings import fill
from wingbar._system.text import several
from wingbar.config import Config, describing
from wingbar.data import load as load_data
from wingbar.data.checks import learnable, named
from wingbar.data.folders import skipped_lines
from wingbar.data.joined import joined
from wingbar.data.sample import Dataset
from wingbar.data.taxonomy import with_taxonomy
from wingbar.errors import ConfigError, DataError, RunError, suggestion
from wingbar.learning.decoded import DecodedPictures
from wingbar.learning.hardware import open_hardware, threads_for
from wingbar.learning.presets import automatic, chosen_already, with_preset
from wingbar.model.folder import Model, read_model, refuse_model_folder
from wingbar.model.seen import Seen, seen_by
from wingbar.nets.zoo import require_known
from wingbar.pipeline import GOING_ON, GOING_ON_STEPS, METHODS, step_names, training_plan
from wingbar.recognizer import Recognizer, load_together
from wingbar.steps.reporting import Reporter
from wingbar.steps.store import Store

FREE = ("seed", "validation", "device", "precision", "strategy", "decoded_gb")
"""Settings in which a run may differ from the finished one that it takes its net from."""


def train(
    data: Path | str | Dataset,
    out: Path | str,
    config: Config | None = None,
    *,
    preset: str | None = None,
    images_root: Path | str | None = None,
    taxonomy: Path | str | None = None,
    based_on: Path | str | None = None,
    full: bool = False,
    redo_from: str | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Recognizer:
    """Train a recogniser on labelled pictures, and store all results in the run folder ``out``.

    ``data`` is a data set, or the path of one in any layout that `wingbar.data.load` reads. Paths of a table start at
    ``images_root``, by default at the table's folder. ``taxonomy`` is a table of the classes' genera, families or other
    groups, by default ``taxonomy.csv`` beside the pictures (`wingbar.data.taxonomy`). ``config``, over it the
    ``preset``, and over both ``settings`` are fields of `Config`. Presets are ``quick``, ``good``, ``best``, and
    ``auto``, which goes by the machine and the number of pictures. It is the default where neither ``config`` nor the
    net, the size or the epochs are given.
    ``based_on`` is a finished run, whose pictures are learnt from too and whose settings are the default. Its net is
    taken as it is, with a head for all classes, in minutes; with ``full`` nets are trained as always.
    Steps whose results are in ``out`` already, from the same inputs and settings, are not computed again; ``redo_from``
    is the name of a step to compute again, with all later ones. ``quiet`` prints nothing. Under torchrun the processes
    divide the work, and only the first one needs ``out``.

    Raises DataError for pictures that cannot be used, ConfigError for a wrong setting or a device that is not there,
    WeightsError for pretrained weights that cannot be found or read, RunError where ``out`` cannot be written to or
    another process works there.

    >>> import wingbar
    >>> recognizer = wingbar.train(
    ...     "photos/", "tiny", method="plain", net="res2net_nano", weights="none", size=48, epochs=1, quiet=True
    ... )
    >>> recognizer.classes
    ('house_sparrow', 'tree_sparrow', 'wren')
    """
    if full and based_on is None:
        raise ConfigError("full says how a run goes on from another one: name that one (--based-on), or leave it away.")
    with opened() as world:
        world.first(lambda: refuse_model_folder(Path(out)))
        before = None if based_on is None else world.each(lambda: read_model(based_on))
        dataset = world.first(lambda: _read(data, Path(out), images_root, taxonomy, before))
        reporter = Reporter(Path(out), quiet, idle=world.rank > 0)
        if before is not None:
            config = config or world.each(lambda: steps.settings_of(before.card, Path(based_on or "")))
        if preset is None and config is None and not chosen_already(settings):
            preset = "auto"
        base = world.first(lambda: preset_for(dataset, config or Config(), preset, settings, reporter))
        going_on = None if full else before
        config, names = world.each(lambda: planned(base, settings, redo_from, going_on))
        _train(dataset, config, names, Store(Path(out), redo_from, reporter.say, world), reporter, going_on)
        return load_together(out, world)


def _read(
    data: Path | str | Dataset,
    out: Path,
    images_root: Path | str | None,
    taxonomy: Path | str | None,
    before: Model | None,
) -> Dataset:
    if isinstance(data, Dataset):
        dataset = data
    elif before is None:
        return load_data(Path(data), images_root, taxonomy=taxonomy)
    else:
        dataset = load_data(Path(data), images_root, to_learn=False, fewest=1)
    if before is not None:
        dataset = learnable(joined(_learnt_from(before), dataset, out.resolve() / "pictures.csv"))
    return dataset if taxonomy is None else with_taxonomy(dataset, taxonomy)


def _learnt_from(model: Model) -> Dataset:
    """The pictures that a finished model was learnt from. Raises DataError where they are not there any more."""
    data = model.card.data
    if not data.source:
        raise DataError(
            f"{model.folder}: does not say which pictures it was learnt from, as an export does not. Give the run that "
            "it was made from, or train on all pictures without --based-on."
        )
    if not Path(data.source).exists():
        raise DataError(
            f"{model.folder}: the pictures that it was learnt from are no longer at {data.source!r}, but the head "
            "learns from them again. Put them back, or train on all pictures without --based-on."
        )
    dataset = load_data(data.source, data.images_root or None)
    known = set(model.card.classes)
    if missing := [name for name in model.card.classes if name not in dataset.classes]:
        raise DataError(
            f"{model.folder}: has learnt {named(missing)}, of which no pictures are left at {data.source!r}. Put them "
            "back, or train on all pictures without --based-on."
        )
    return replace(dataset, samples=tuple(one for one in dataset.samples if dataset.classes[one.label] in known))


def preset_for(
    dataset: Dataset, config: Config, preset: str | None, settings: dict[str, Any], reporter: Reporter
) -> Config:
    """``config`` with the preset, if any; ``settings`` come over it. Raises ConfigError."""
    if preset is None:
        return config
    if preset != "auto":
        return with_preset(config, preset)
    on_cpu = settings.get("device", config.device) == "cpu"
    chosen, why = automatic(config, len(dataset.split("train")), on_cpu)
    reporter.say(f"preset {why}; another one: --preset quick, good or best")
    return chosen


def planned(
    config: Config, settings: dict[str, Any], redo_from: str | None, before: Model | None = None
) -> tuple[Config, tuple[str, ...]]:
    """The whole settings and the steps they ask for, which begin with the net of ``before``. Raises ConfigError."""
    config = fill(config, settings, "")
    require_known(config.net)
    if before is not None:
        require_alike(config, before)
    names = step_names(config) if before is None else GOING_ON_STEPS[config.method]
    if redo_from is not None and redo_from not in names:
        raise ConfigError(f"no step {redo_from!r}.{suggestion(redo_from, names)} Steps: {', '.join(names)}.")
    return config, names


def require_alike(config: Config, before: Model) -> None:
    """Raises ConfigError for settings that do not go with taking the net of ``before`` as it is."""
    full = "leave it away, or train the net again with --full"
    if config.method not in GOING_ON_STEPS:
        raise ConfigError(f"{before.folder}: {config.method} has several nets: train them again with --full.")
    theirs, ours = before.card.settings, describing(config)
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in FREE and ours.get(name) != theirs.get(name):
            raise ConfigError(
                f"{name} is {ours.get(name)!r}, but {before.folder} was learnt with {theirs.get(name)!r}: {full}."
            )


def _train(
    dataset: Dataset,
    config: Config,
    names: tuple[str, ...],
    store: Store,
    reporter: Reporter,
    before: Model | None = None,
) -> None:
    world = store.world
    with locked(store.folder, world):
        if before is not None:
            _go_on(dataset, config, names, store, reporter, before)
            return
        job = opened_job(dataset, config, store, reporter)
        announce(job, dataset, names)
        with threads_for(world.each(lambda: steps.try_sizes(job))):
            steps.occasions(job)
            learned = METHODS[config.method](job, None)
            if config.refit:
                job = replace(job, refit=True)
                learned = METHODS[config.method](job, learned)
        world.first(lambda: steps.write_model(job, dataset, learned))


def _go_on(
    dataset: Dataset, config: Config, names: tuple[str, ...], store: Store, reporter: Reporter, before: Model
) -> None:
    world = store.world
    seen = world.each(lambda: _held_out_of(before))
    job = opened_job(dataset, config, store, reporter, seen)
    new = [name for name in dataset.classes if name not in before.card.classes]
    reporter.say(dataset.describe())
    reporter.say(f"the net of {before.folder}, {several(len(new), 'new class')}{': ' if new else ''}{named(new)}")
    reporter.say(f"steps: {', '.join(names)}")
    learned = GOING_ON[config.method](job, before)
    world.first(lambda: steps.write_model(job, dataset, learned, seen.key))


def _held_out_of(model: Model) -> Seen:
    """What a model has seen. Raises RunError where nothing of it was held out, or that is not kept."""
    seen = seen_by(model)
    if seen is not None and seen.held.any():
        return seen
    why = (
        "it was trained on all of its pictures (refit)"
        if seen is not None
        else "it does not say which pictures were held out of its training"
    )
    raise RunError(
        f"{model.folder}: {why}, so nothing can be chosen for its net. Give the command of its training again, without "
        "refit, or train the net again with --full."
    )


def opened_job(
    dataset: Dataset, config: Config, store: Store, reporter: Reporter, seen: Seen | None = None
) -> steps.Job:
    """What all steps of a run need. The first step, reading the pictures, is done.

    ``seen`` are the pictures that the net has seen that the run goes on from.
    """
    world = store.world
    samples, pictures, skipped = steps.data(dataset, config, store, reporter, seen)
    for line in (*skipped_lines(dataset.skipped), *skipped_lines(skipped, len(skipped))):
        reporter.say(line)
    paths = [sample.path for sample in samples]
    decoded = DecodedPictures.within(store.folder, paths, pictures.sizes, config.decoded_gb)
    hardware = replace(world.each(lambda: open_hardware(config, world)), pictures=decoded)
    plan = training_plan(config, len(samples), len(pictures.validation))
    return steps.Job(config, dataset.classes, samples, pictures, store, hardware, reporter, plan)


def announce(job: steps.Job, dataset: Dataset, names: tuple[str, ...]) -> None:
    """Say beforehand what is going to be done."""
    config, say = job.config, job.reporter.say
    say(dataset.describe())
    epochs = f"{several(config.base_recipe().epochs, 'epoch')}{', then again on all pictures' if config.refit else ''}"
    say(
        f"{config.method} with {config.net} ({config.weights}) at {config.size} px, {epochs}, seed {config.seed}, "
        f"on {job.hardware.device} with {several(job.hardware.workers, 'loader')}: "
        f"{several(len(job.training), 'picture')} to train on, "
        f"{len(job.validation)} to choose by"
    )
    say(f"steps: {', '.join(names)}")
