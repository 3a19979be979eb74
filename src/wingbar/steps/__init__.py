"""The steps of a run, which `pipeline` lists. Their results are kept by the store.

A step has one name and two files: ``opam/NAME.py`` computes, and ``steps/NAME.py`` reads the inputs and stores the
result as a record. Here ``NAME`` is the function that takes the step; whatever else its module has is imported by
``from wingbar.steps.NAME import ...``.
"""

from wingbar.steps.alignment import alignment
from wingbar.steps.box_regression import box_regression
from wingbar.steps.calibration import calibration
from wingbar.steps.corners import corners
from wingbar.steps.data import data, held_out
from wingbar.steps.discriminant import discriminant, taught_pictures
from wingbar.steps.filtering import filter_folds, filtering
from wingbar.steps.fusion import fusion
from wingbar.steps.head import head, marks_of_model, net_of_model
from wingbar.steps.job import Job
from wingbar.steps.joint import joint
from wingbar.steps.localization import localization
from wingbar.steps.marks import marks
from wingbar.steps.model import Attention, FieldMarks, Learned, settings_of, write_model
from wingbar.steps.nets import learn, try_sizes
from wingbar.steps.occasions import occasions
from wingbar.steps.parts import parts
from wingbar.steps.pooling import pooling
from wingbar.steps.principal import principal
from wingbar.steps.proposals import proposals
from wingbar.steps.reading import features_by_field_marks, features_by_whole_pictures
from wingbar.steps.readout import readout
from wingbar.steps.saliency import saliency
from wingbar.steps.strangers import looks_of, strangers
from wingbar.steps.views import mark_views, object_views, part_views, patch_views, whole_pictures

__all__ = [
    "Attention",
    "FieldMarks",
    "Job",
    "Learned",
    "alignment",
    "box_regression",
    "calibration",
    "corners",
    "data",
    "discriminant",
    "features_by_field_marks",
    "features_by_whole_pictures",
    "filter_folds",
    "filtering",
    "fusion",
    "head",
    "held_out",
    "joint",
    "learn",
    "localization",
    "looks_of",
    "mark_views",
    "marks",
    "marks_of_model",
    "net_of_model",
    "object_views",
    "occasions",
    "part_views",
    "parts",
    "patch_views",
    "pooling",
    "principal",
    "proposals",
    "readout",
    "saliency",
    "settings_of",
    "strangers",
    "taught_pictures",
    "try_sizes",
    "whole_pictures",
    "write_model",
]  # fmt: skip
