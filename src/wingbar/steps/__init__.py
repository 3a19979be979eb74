"""The steps of a run, which `pipeline` lists. Their results are kept by the store.

A step has one name and two files: ``opam/NAME.py`` computes, and ``steps/NAME.py`` reads the inputs and stores the
result as a record.
"""

from wingbar.steps.alignment import alignment
from wingbar.steps.box_regression import object_boxes
from wingbar.steps.calibration import calibration
from wingbar.steps.corners import object_corners
from wingbar.steps.data import held_out, read_pictures
from wingbar.steps.discriminant import first_boxes, taught_pictures
from wingbar.steps.filtering import filter_folds, filter_patches
from wingbar.steps.fusion import fusion
from wingbar.steps.head import marks_of_model, net_of_model, new_head, views_by_field_marks, views_of_whole_pictures
from wingbar.steps.job import Job
from wingbar.steps.localization import map_boxes
from wingbar.steps.marks import field_marks
from wingbar.steps.model import Attention, FieldMarks, Learned, settings_of, write_model
from wingbar.steps.nets import learn, try_sizes
from wingbar.steps.occasions import occasions
from wingbar.steps.parts import parts
from wingbar.steps.pooling import pooling
from wingbar.steps.principal import principal_maps
from wingbar.steps.proposals import proposals
from wingbar.steps.readout import read_out
from wingbar.steps.saliency import saliency
from wingbar.steps.strangers import by_field_marks, by_whole_pictures, strangers
from wingbar.steps.views import mark_views, object_views, part_views, patch_views, whole_pictures

__all__ = [
    "Attention", "FieldMarks", "Job", "Learned", "alignment", "by_field_marks", "by_whole_pictures",
    "calibration", "field_marks", "filter_folds", "filter_patches", "first_boxes", "fusion", "held_out",
    "learn", "map_boxes", "mark_views", "marks_of_model", "net_of_model", "new_head", "object_boxes",
    "object_corners", "object_views", "occasions", "part_views", "parts", "patch_views", "pooling",
    "principal_maps", "proposals", "read_out", "read_pictures", "saliency", "settings_of", "strangers",
    "taught_pictures", "try_sizes", "views_by_field_marks", "views_of_whole_pictures", "whole_pictures", "write_model",
]  # fmt: skip
