"""Field marks, OPAM in the paper's order, and the plain baseline, each as the list of its steps."""

from __future__ import annotations

from collections.abc import Callable

from wingbar import steps
from wingbar.config import Config
from wingbar.model.folder import Model

PLAIN_STEPS = ("data", "occasions", "filternet", "calibration", "strangers")
OPAM_STEPS = (
    "data", "occasions", "proposals", "filternet", "filtering", "classnet", "saliency", "principal", "localization",
    "box-regression", "objectnet", "parts", "alignment", "partnet", "fusion", "strangers",
)  # fmt: skip
GOING_ON_STEPS = {
    "plain": ("data", "head", "calibration", "strangers"),
    "field-marks": ("data", "head", "joint", "pooling", "strangers"),
}
"""Of a run that takes its net from a finished one."""
CROP_NETS = ("objectnet", "partnet")
MARKS_STEPS = (
    "data", "occasions", "proposals", "guidenet", "discriminant", "corners", "marks", "viewnet", "readout", "joint",
    "pooling", "strangers",
)  # fmt: skip


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
    look, kept = steps.looks_of(job, net), chosen.strangers if chosen else None
    return steps.Learned(net, steps.strangers(job, [net, weights], weights.votes, look, kept), plain=weights)


def field_marks(job: steps.Job, chosen: steps.Learned | None = None) -> steps.Learned:
    """One net for the whole picture, the object and its field marks; ``chosen`` as in `opam`."""
    pictures = steps.whole_pictures(job)

    # Whose features tell objects and marks beforehand: the starting weights, or a net trained on whole pictures.
    untrained = job.config.weights == "none"
    guide = steps.learn(job, "guidenet", pictures, {"picture": 1.0}, "picture", []) if untrained else None

    # The object: a map that splits it from the background, candidates' votes, corners read off features.
    candidates = steps.proposals(job, steps.taught_pictures(job))
    first = steps.discriminant(job, candidates, guide)
    objects = steps.corners(job, first, candidates, guide)

    # Its field marks: places that all objects have, chosen by what they tell.
    marks = steps.marks(job, objects, guide)

    # One net learns from all views; objects and marks are read out of its own features. A second head tells what whole
    # pictures say besides, a joint head what the features of all views say at once; the views and it are pooled.
    kinds = {
        **pictures,
        "object": steps.object_views(job, objects.boxes),
        "mark": steps.mark_views(job, marks.boxes),
    }
    shares = {"picture": 0.2, "object": 0.3, "mark": 0.5}
    net = steps.learn(job, "viewnet", kinds, shares, "object", [objects, marks], guide)
    readout = steps.readout(job, net, objects, marks)
    known = chosen.field_marks if chosen else None
    joint = steps.joint(job, net, readout, marks, known.joint if known else None)
    weights = known.pooling if known else steps.pooling(job, marks, joint)

    # Pictures of none of the classes: how little stands out, how unlike all classes the object and its marks look.
    kept = chosen.strangers if chosen else None
    strangers = steps.strangers(job, [joint, weights], weights.votes, joint.looks, kept)
    return steps.Learned(net, strangers, field_marks=steps.FieldMarks(marks, readout, joint, weights))


def opam(job: steps.Job, chosen: steps.Learned | None = None) -> steps.Learned:
    """All of OPAM; ``chosen`` is what a run on the training cut found, whose choices a refit keeps."""
    pictures, known = steps.whole_pictures(job), chosen.attention if chosen else None

    # Patch filtering (III.A): candidates, and those of them that show the object.
    candidates = steps.proposals(job)
    filternets = [
        (steps.learn(job, name, pictures, {"picture": 1.0}, "picture", [], only=fitted), held)
        for name, fitted, held in steps.filter_folds(job)
    ]
    patches = steps.filtering(job, candidates, filternets)

    # ClassNet learns from the whole pictures and the kept patches.
    kinds = {**pictures, "patch": steps.patch_views(job, patches.boxes)}
    classnet = steps.learn(job, "classnet", kinds, {"picture": 0.5, "patch": 0.5}, "picture", [patches])

    # Object-level attention (III.B): saliency, then the object's box, first cut from a map, then learnt.
    classnet_output, principal = steps.saliency(job, classnet), steps.principal(job, classnet)
    rule = known.map_boxes.rule if known else None
    cut = steps.localization(job, classnet, classnet_output, principal, candidates, rule)
    objects = steps.box_regression(job, classnet, cut, candidates)
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
    look, kept = steps.looks_of(job, classnet), chosen.strangers if chosen else None
    strangers = steps.strangers(job, [classnet, weights], weights.votes, look, kept)
    return steps.Learned(classnet, strangers, steps.Attention(cut, objects, aligned, objectnet, partnet, weights))


def plain_going_on(job: steps.Job, before: Model) -> steps.Learned:
    """The net of a finished plain run with a head for this run's classes."""
    taken = job.world.each(lambda: steps.net_of_model(before))
    net = steps.head(job, taken, steps.features_by_whole_pictures(job, taken))
    weights = steps.calibration(job, net)
    strangers = steps.strangers(job, [net, weights], weights.votes, steps.looks_of(job, net), None)
    return steps.Learned(net, strangers, plain=weights)


def field_marks_going_on(job: steps.Job, before: Model) -> steps.Learned:
    """The net of finished field marks with a head for this run's classes; objects and marks are read as before."""
    taken = job.world.each(lambda: steps.net_of_model(before))
    marks, readout = job.world.each(lambda: steps.marks_of_model(before))
    net = steps.head(job, taken, steps.features_by_field_marks(job, taken, readout, marks))
    joint = steps.joint(job, net, readout, marks, None)
    weights = steps.pooling(job, marks, joint)
    strangers = steps.strangers(job, [joint, weights], weights.votes, joint.looks, None)
    return steps.Learned(net, strangers, field_marks=steps.FieldMarks(marks, readout, joint, weights))


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
