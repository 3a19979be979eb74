"""The step of localisation: an object's box cut from a map of every training picture, by the best of several rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32
from numpy import ndarray
from torch.nn import functional as F

from wingbar.learning.loop import predict_logits
from wingbar.opam.localization import Rule, box_from_map
from wingbar.steps.job import Job
from wingbar.steps.nets import TrainedNet, net_of
from wingbar.steps.principal import PrincipalMaps
from wingbar.steps.proposals import Proposals
from wingbar.steps.saliency import Saliency
from wingbar.steps.store import StepResult
from wingbar.steps.views import object_views, views_of


@dataclass(frozen=True, kw_only=True, eq=False)
class MapBoxes(StepResult):
    """Each training picture's object as a map tells it."""

    boxes: Int32[ndarray, "n 4"]
    """In pixels of the original."""
    rule: str
    """The rule that the boxes were cut by."""
    losses: Mapping[str, float]
    """ClassNet's mean cross-entropy on the validation pictures' crops, by rule."""


def localization(
    job: Job,
    classnet: TrainedNet,
    classnet_output: Saliency,
    principal: PrincipalMaps,
    candidates: Proposals,
    rule: str | None = None,
) -> MapBoxes:
    """Each picture's object box, by the rule whose crops ClassNet names best on validation pictures, or by ``rule``."""
    config = job.config

    def boxes_by(text: str) -> ndarray:
        parsed, side = Rule.parse(text), config.proposals.side
        maps = classnet_output.maps if parsed.source == "cam" else principal.maps
        assert maps is not None, "a rule asks for a map that was not made"
        indices = job.world.share(range(len(job.samples)))
        boxes = job.world.collect(
            lambda: (box_from_map(maps[i], job.sizes[i], side, parsed, candidates.boxes[i]) for i in indices)
        )
        return np.array(boxes, np.int32)

    def compute() -> MapBoxes:
        losses: dict[str, float] = {}
        if rule is None:
            net, size = net_of(job, classnet), config.prediction_size()
            for tried in config.localization.rules:
                views = views_of(job, object_views(job, boxes_by(tried)), job.validation)
                losses[tried] = float(F.cross_entropy(*predict_logits(net, views, size, job.hardware)))
        best = rule or min(losses, key=losses.__getitem__)
        listed = "".join(f"; {tried}: loss {loss:.3f}" for tried, loss in losses.items())
        job.reporter.say(f"  object boxes by {best}{listed}")
        return MapBoxes(boxes=boxes_by(best), rule=best, losses=losses)

    settings = [config.localization.rules, config.localization.margin, config.prediction_size(), config.proposals.side]
    inputs = [classnet, classnet_output, principal, candidates]
    return job.step("localization", MapBoxes, [*settings, rule], inputs, compute)
