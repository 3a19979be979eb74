"""The steps of a run on real files and nets, each kept by the store: what `pipeline` lists."""

from wingbar.steps.attention import alignment, locator, object_boxes, part_choice, saliency_maps
from wingbar.steps.fusion import fusion
from wingbar.steps.job import STREAMS, Job, Kind, held_out, inspect
from wingbar.steps.nets import filter_nets, learn, try_sizes
from wingbar.steps.patches import patches, proposals
from wingbar.steps.views import object_views, part_heads, part_views, patch_views, whole_pictures

__all__ = [
    "STREAMS", "Job", "Kind", "alignment", "filter_nets", "fusion", "held_out", "inspect", "learn", "locator",
    "object_boxes", "object_views", "part_choice", "part_heads", "part_views", "patch_views", "patches", "proposals",
    "saliency_maps", "try_sizes", "whole_pictures",
]  # fmt: skip
