"""The steps of a run on real files and nets, each kept by the store: what `pipeline` lists."""

from wingbar.steps.attention import alignment, map_boxes, object_boxes, part_choice, principal_maps, saliency_maps
from wingbar.steps.fusion import fusion
from wingbar.steps.job import Job, Kind, held_out, inspect
from wingbar.steps.nets import filter_nets, learn, try_sizes
from wingbar.steps.patches import patches, proposals
from wingbar.steps.views import object_views, part_heads, part_views, patch_views, whole_pictures

__all__ = [
    "Job", "Kind", "alignment", "filter_nets", "fusion", "held_out", "inspect", "learn", "map_boxes", "object_boxes",
    "object_views", "part_choice", "part_heads", "part_views", "patch_views", "patches", "principal_maps", "proposals",
    "saliency_maps", "try_sizes", "whole_pictures",
]  # fmt: skip
