"""The last step of a run: its model folder, made of the results of the other steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from numpy import ndarray

from wingbar._system.files import write_text
from wingbar._system.settings import fill
from wingbar.config import Config, describing, to_toml
from wingbar.data.sample import Dataset
from wingbar.errors import ConfigError, RunError
from wingbar.model.card import MARKS_STREAMS, VIEWS, Card, Pretrained, TrainedOn
from wingbar.model.save import checksums, save_model, serialized
from wingbar.model.seen import with_held
from wingbar.opam.candidates import kept, kept_by_class
from wingbar.opam.localization import Rule
from wingbar.opam.taxonomy import fit_lineages
from wingbar.steps.alignment import AlignedParts
from wingbar.steps.box_regression import ObjectBoxes
from wingbar.steps.calibration import Calibrated, PlainCalibration
from wingbar.steps.fusion import FusionWeights
from wingbar.steps.job import Job
from wingbar.steps.joint import Joint
from wingbar.steps.localization import MapBoxes
from wingbar.steps.marks import Marks
from wingbar.steps.nets import TrainedNet
from wingbar.steps.pooling import PoolingWeights
from wingbar.steps.readout import Readout
from wingbar.steps.strangers import Strangers


@dataclass(frozen=True)
class Attention:
    """The results of a run of OPAM, besides ClassNet."""

    map_boxes: MapBoxes
    objects: ObjectBoxes
    alignment: AlignedParts
    objectnet: TrainedNet
    partnet: TrainedNet
    fusion: FusionWeights


@dataclass(frozen=True)
class FieldMarks:
    """What a run of field marks learns beside its net."""

    marks: Marks
    readout: Readout
    joint: Joint
    pooling: PoolingWeights


@dataclass(frozen=True)
class Learned:
    """The results of a run that its model is made of."""

    picture: TrainedNet
    """ClassNet, or the one net of a plain run or of field marks."""
    strangers: Strangers
    attention: Attention | None = None
    """Of a run of OPAM."""
    field_marks: FieldMarks | None = None
    """Of a run of field marks."""
    plain: PlainCalibration | None = None
    """Of a plain run."""

    @property
    def calibrated(self) -> Calibrated:
        """The step that calibrated the scores of all streams together."""
        if self.attention is not None:
            return self.attention.fusion
        if self.field_marks is not None:
            return self.field_marks.pooling
        assert self.plain is not None
        return self.plain

    def arrays(self) -> dict[str, dict[str, ndarray]]:
        """The arrays of each file of the model, by the file's name."""
        kept = {"strangers": dict(self.strangers.scatters)} if self.strangers.scatters else {}
        return self._nets() | kept

    def _nets(self) -> dict[str, dict[str, ndarray]]:
        if (marks := self.field_marks) is not None:
            joint = {"weight": marks.joint.weight, "bias": marks.joint.bias}
            of_views = {VIEWS: dict(self.picture.tensors), "readout": marks.readout.arrays()}
            return {**of_views, "second": marks.joint.second, "joint": joint}
        files = {"picture": dict(self.picture.tensors)}
        if (attention := self.attention) is None:
            return files
        files |= {"object": dict(attention.objectnet.tensors), "parts": dict(attention.partnet.tensors)}
        if attention.objects.weight is not None and attention.objects.bias is not None:
            files["locator"] = {"weight": attention.objects.weight, "bias": attention.objects.bias}
        aligned = attention.alignment
        files["alignment"] = {"neurons": aligned.neurons, "mean": aligned.mean, "deviation": aligned.deviation}
        return files


def settings_of(card: Card, run: Path) -> Config:
    """The settings that a model was learnt with. Raises RunError if they are not those of this version."""
    try:
        return fill(Config(), dict(card.settings), "config")
    except ConfigError as error:
        raise RunError(
            f"{run}: its model does not state the settings that it was trained with ({error}); repeat the command of "
            "its training: finished steps are kept."
        ) from None


def write_model(job: Job, dataset: Dataset, learned: Learned, before: str = "") -> None:
    """The run's model folder, and beside it the settings it was learnt with. Raises RunError.

    ``before`` identifies what its nets had seen before, where they are another model's.
    """
    config, run, attention = job.config, job.store.folder, learned.attention
    seen = with_held(job.pictures.copies, [job.samples[i].path for i in job.validation])
    contents = serialized(learned.arrays() | {"seen": seen})
    marks, calibrated = learned.field_marks, learned.calibrated
    weights = attention.fusion.weights if attention else marks.pooling.weights if marks else [1.0]
    card = Card(
        method=config.method,
        net=config.net,
        classes=job.classes,
        fusion_weights=dict(zip(MARKS_STREAMS[: len(weights)], weights, strict=True)),
        eval_size=config.prediction_size(),
        picture_size=config.picture_size(),
        rule=Rule.parse(attention.map_boxes.rule if attention else "cam otsu"),
        margin=config.localization.margin,
        pretrained=Pretrained(learned.picture.weights, learned.picture.licence),
        data=TrainedOn(
            name=dataset.name,
            source=str(dataset.source),
            training=len(job.training),
            validation=len(job.validation),
            key=job.pictures.key,
            images_root=str(dataset.images_root or ""),
            before=before,
        ),
        sha256=checksums(contents),
        proposals=config.proposals,
        parts=config.parts,
        alignment=config.alignment,
        neuron_layer=attention.alignment.layer if attention else None,
        mark_sides=tuple(marks.marks.sides) if marks else (),
        temperatures=dict(zip(MARKS_STREAMS, marks.pooling.temperatures, strict=True)) if marks else {},
        middle_layer=marks.readout.layer if marks else None,
        calibration=calibrated.calibration,
        held_out=kept(calibrated.of_true_classes),
        held_out_by_class=kept_by_class(calibrated.of_true_classes, calibrated.known_labels, job.classes),
        lineages=fit_lineages(dataset.taxonomy, job.classes, calibrated.held_out, calibrated.known_labels),
        strangers=learned.strangers.rule,
        settings=describing(config),
    )
    save_model(run / "model", card, contents)
    write_text(Path(run) / "config.toml", to_toml(config))
