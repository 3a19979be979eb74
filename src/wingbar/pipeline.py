"""Training: field marks, OPAM in the paper's order, and the plain baseline, each as the list of its steps."""

from __future__ import annotations

from collections.abc import Callable
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
from wingbar.model.folder import Model, read_model, refuse_model_folder
from wingbar.model.seen import Seen, seen_by
from wingbar.nets.zoo import require_known
from wingbar.presets import automatic, chosen_already, with_preset
from wingbar.recognizer import Recognizer, load_together
from wingbar.steps.reporting import Reporter
from wingbar.steps.store import Store

PLAIN_STEPS = ("data", "occasions", "filternet", "calibration", "strangers")
OPAM_STEPS = (
    "data", "occasions", "proposals", "filternet", "filtering", "classnet", "saliency", "principal", "localization",
    "box-regression", "objectnet", "parts", "alignment", "partnet", "fusion", "strangers",
)  # fmt: skip
GOING_ON_STEPS = {
    "plain": ("data", "head", "calibration", "strangers"),
    "field-marks": ("data", "head", "pooling", "strangers"),
}
"""Of a run that takes its net from a finished one."""
CROP_NETS = ("objectnet", "partnet")
FREE = ("seed", "validation", "device", "precision", "strategy", "decoded_gb")
"""Settings in which a run may differ from the finished one that it takes its net from."""
MARKS_STEPS = (
    "data", "occasions", "proposals", "guidenet", "discriminant", "corners", "marks", "viewnet", "readout", "pooling",
    "strangers",
)  # fmt: skip


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
    if not data.source or not Path(data.source).exists():
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
    if seen is not None and seen.held is not None and seen.held.any():
        return seen
    why = (
        "it was trained on all of its pictures (refit)"
        if seen is not None and seen.held is not None
        else ("it does not say which pictures were held out of its training")
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
    samples, pictures, skipped = steps.read_pictures(dataset, config, store, reporter, seen)
    for line in (*skipped_lines(dataset.skipped), *skipped_lines(skipped, len(skipped))):
        reporter.say(line)
    paths = [sample.path for sample in samples]
    decoded = DecodedPictures.within(store.folder, paths, pictures.sizes, config.decoded_gb)
    hardware = replace(world.each(lambda: open_hardware(config, world)), pictures=decoded)
    plan = training_plan(config, len(samples), len(pictures.validation))
    return steps.Job(config, dataset.classes, samples, pictures, store, hardware, reporter, plan)


def step_names(config: Config) -> tuple[str, ...]:
    """The steps that a run with these settings is made of."""
    if config.method == "plain":
        return PLAIN_STEPS
    if config.method == "field-marks":
        return tuple(name for name in MARKS_STEPS if name != "guidenet" or config.weights == "none")
    return tuple(name for name in OPAM_STEPS if name != "filternet" or config.filtering.enabled)


def plain(job: steps.Job, chosen: steps.Learned | None = None) -> steps.Learned:
    """One net on whole pictures: the baseline, and OPAM's FilterNet; ``chosen`` as in `opam`."""
    net = steps.learn(job, "filternet", steps.whole_pictures(job), {"picture": 1.0}, "picture", [])
    weights = chosen.plain if chosen and chosen.plain else steps.calibration(job, net)
    reader, kept = steps.by_whole_pictures(job, net), chosen.strangers if chosen else None
    return steps.Learned(net, steps.strangers(job, net, [weights], weights.votes, reader, kept), plain=weights)


def field_marks(job: steps.Job, chosen: steps.Learned | None = None) -> steps.Learned:
    """One net for the whole picture, the object and its field marks; ``chosen`` as in `opam`."""
    pictures = steps.whole_pictures(job)

    # Whose features tell objects and marks beforehand: the starting weights, or a net trained on whole pictures.
    untrained = job.config.weights == "none"
    guide = steps.learn(job, "guidenet", pictures, {"picture": 1.0}, "picture", []) if untrained else None

    # The object: a map that splits it from the background, candidates' votes, corners read off features.
    candidates = steps.proposals(job, steps.taught_pictures(job))
    first = steps.first_boxes(job, candidates, guide)
    objects = steps.object_corners(job, first, candidates, guide)

    # Its field marks: places that all objects have, chosen by what they tell.
    marks = steps.field_marks(job, objects, guide)

    # One net learns from all views; objects and marks are read out of its own features, and the views pooled.
    kinds = {
        **pictures,
        "object": steps.object_views(job, objects.boxes),
        "mark": steps.mark_views(job, marks.boxes),
    }
    shares = {"picture": 0.2, "object": 0.3, "mark": 0.5}
    net = steps.learn(job, "viewnet", kinds, shares, "object", [objects, marks], guide)
    readout = steps.read_out(job, net, objects, marks)
    known = chosen.field_marks if chosen else None
    weights = known.pooling if known else steps.pooling(job, net, readout, marks)

    # Pictures of none of the classes: how little stands out, how unlike all classes the object and its marks look.
    reader, kept = steps.by_field_marks(job, net, readout, marks), chosen.strangers if chosen else None
    strangers = steps.strangers(job, net, [readout, marks, weights], weights.votes, reader, kept)
    return steps.Learned(net, strangers, field_marks=steps.FieldMarks(marks, readout, weights))


def plain_going_on(job: steps.Job, before: Model) -> steps.Learned:
    """The net of a finished plain run with a head for this run's classes."""
    taken = job.world.each(lambda: steps.net_of_model(before))
    net = steps.new_head(job, taken, steps.views_of_whole_pictures(job, taken))
    weights = steps.calibration(job, net)
    reader = steps.by_whole_pictures(job, net)
    return steps.Learned(net, steps.strangers(job, net, [weights], weights.votes, reader, None), plain=weights)


def field_marks_going_on(job: steps.Job, before: Model) -> steps.Learned:
    """The net of finished field marks with a head for this run's classes; objects and marks are read as before."""
    taken = job.world.each(lambda: steps.net_of_model(before))
    marks, readout = job.world.each(lambda: steps.marks_of_model(before))
    net = steps.new_head(job, taken, steps.views_by_field_marks(job, taken, readout, marks))
    weights = steps.pooling(job, net, readout, marks)
    reader = steps.by_field_marks(job, net, readout, marks)
    strangers = steps.strangers(job, net, [readout, marks, weights], weights.votes, reader, None)
    return steps.Learned(net, strangers, field_marks=steps.FieldMarks(marks, readout, weights))


def opam(job: steps.Job, chosen: steps.Learned | None = None) -> steps.Learned:
    """All of OPAM; ``chosen`` is what a run on the training cut found, whose choices a refit keeps."""
    pictures, known = steps.whole_pictures(job), chosen.attention if chosen else None

    # Patch filtering (III.A): candidates, and those of them that show the object.
    candidates = steps.proposals(job)
    filternets = [
        (steps.learn(job, name, pictures, {"picture": 1.0}, "picture", [], only=fitted), held)
        for name, fitted, held in steps.filter_folds(job)
    ]
    patches = steps.filter_patches(job, candidates, filternets)

    # ClassNet learns from the whole pictures and the kept patches.
    kinds = {**pictures, "patch": steps.patch_views(job, patches.boxes)}
    classnet = steps.learn(job, "classnet", kinds, {"picture": 0.5, "patch": 0.5}, "picture", [patches])

    # Object-level attention (III.B): saliency, then the object's box, first cut from a map, then learnt.
    classnet_output, principal = steps.saliency(job, classnet), steps.principal_maps(job, classnet)
    rule = known.map_boxes.rule if known else None
    cut = steps.map_boxes(job, classnet, classnet_output, principal, candidates, rule)
    objects = steps.object_boxes(job, classnet, cut, candidates)
    kinds = {**pictures, "object": steps.object_views(job, objects.boxes)}
    start = classnet if job.config.crops_start_from_classnet() else None
    objectnet = steps.learn(job, "objectnet", kinds, {"picture": 0.3, "object": 0.7}, "object", [objects], start)

    # Part-level attention (III.C): the telling parts, aligned by clusters of neurons.
    parts, settings = steps.parts(job, candidates, objects, classnet_output), job.config.alignment
    aligned = steps.alignment(job, classnet, parts)
    kinds = {**kinds, "part": steps.part_views(job, parts.boxes, aligned.clusters, settings)}
    partnet = steps.learn(
        job, "partnet", kinds, {"picture": 0.2, "object": 0.3, "part": 0.5}, "part", [objects, parts, aligned],
        start, heads=settings.clusters if settings.heads == "per-cluster" else 1,
    )  # fmt: skip

    # Fusion (III.D): weights from pictures that no net was trained on.
    weights = known.fusion if known else steps.fusion(job, classnet_output, kinds, objectnet, partnet)
    reader, kept = steps.by_whole_pictures(job, classnet), chosen.strangers if chosen else None
    strangers = steps.strangers(job, classnet, [weights], weights.votes, reader, kept)
    return steps.Learned(classnet, strangers, steps.Attention(cut, objects, aligned, objectnet, partnet, weights))


METHODS: dict[str, Callable[[steps.Job, steps.Learned | None], steps.Learned]] = {
    "field-marks": field_marks, "opam": opam, "plain": plain,
}  # fmt: skip

GOING_ON: dict[str, Callable[[steps.Job, Model], steps.Learned]] = {
    "field-marks": field_marks_going_on, "plain": plain_going_on,
}  # fmt: skip
"""The methods of a run that takes its net from a finished one."""


def training_plan(config: Config, samples: int, validation: int) -> dict[str, int]:
    """The trainings of a run in their order, by name, and how many views each shows its net.

    ``samples`` are all readable training pictures, ``validation`` those of them that are held out.
    """

    def of(count: int) -> dict[str, int]:
        first = config.base_recipe().epochs * count
        if config.method == "plain":
            return {"filternet": first}
        if config.method == "field-marks":
            follow = config.follow_recipe().epochs * count
            return {"guidenet": first, "viewnet": follow} if config.weights == "none" else {"viewnet": first}
        folds = config.filtering.folds if config.filtering.enabled else None
        names = {None: [], 0: ["filternet"]}.get(folds, [f"filternet-{fold}" for fold in range(folds or 0)])
        share = first * (folds - 1) // folds if folds else first
        crops = config.follow_recipe() if config.crops_start_from_classnet() else config.base_recipe()
        return {**dict.fromkeys(names, share), "classnet": first, **dict.fromkeys(CROP_NETS, crops.epochs * count)}

    refit = {f"refit-{name}": views for name, views in of(samples).items()} if config.refit else {}
    return {**of(samples - validation), **refit}


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
