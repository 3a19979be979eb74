"""Commands that use a trained model: name pictures, show why, write the guide, export, serve."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from wingbar._system.text import printable, several
from wingbar.cli.options import NOT_GIVEN, Device, Flag, Only, Prior, place_of, views_of
from wingbar.errors import ConfigError, DataError

if TYPE_CHECKING:
    from wingbar.prediction import Prediction

TOLD_OUTSIDE = 0.05
"""Share for classes that are not on the list of a place from which on people are told."""
UNREADABLE = 1
"""Exit code of a prediction in which some pictures could not be read."""


@dataclass
class Predict:
    """Name pictures, and say where the object and its telling parts are."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    pictures: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE ...", help_behavior_hint=NOT_GIVEN)
    ]
    """Picture files; the pictures of a folder."""
    json: Flag = False
    """One JSON object a picture, and nothing else, on standard output."""
    top: int = 5
    """Classes listed."""
    fast: Flag = False
    """Show the nets the whole picture alone: more than twice as fast, no parts, a rougher box."""
    only: Only = None
    """Species list of the place, a name a line: scores are of these classes alone."""
    prior: Prior = None
    """Table `label,prior` of how frequent each class is at the place, in any unit; others are not there."""
    accuracy: Annotated[float | None, tyro.conf.arg(metavar="SHARE", help_behavior_hint="(default: 0.95)")] = None
    """Share of answers that are to be right: where the class is too doubtful, a larger group is named, or nothing."""
    by_occasion: Flag = False
    """One answer to pictures that one camera took within a minute of the next, by their EXIF time."""
    batch_size: int = 16
    """Pictures at a time."""
    runtime: Literal["torch", "onnx"] = "torch"
    """What runs the nets; onnx: RUN is a folder made by `wingbar export`, and torch is not needed."""
    device: Device = "auto"
    """What the nets run on; auto: as the run was trained, on a GPU where there is one."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar._system.distributed import opened
        from wingbar.recognizer import load_together, predict_together

        failed = total = 0
        with opened() as world:
            recognizer = load_together(self.run_folder, world, device=self.device, runtime=self.runtime)
            pictures, views = expand(self.pictures), views_of(self.fast)
            place = place_of(recognizer.classes, self.only, self.prior)
            answers = predict_together(recognizer, pictures, self.batch_size, world, views, **place)
            accuracy = accuracy_of(self.accuracy)
            if self.by_occasion:
                lean = [prediction.lean() for prediction in answers]
                return answer_occasions(pictures, lean, self.top, self.json, accuracy)
            for prediction in answers:
                failed, total = failed + (prediction.error is not None), total + 1
                if self.json:
                    print(json.dumps(prediction.to_dict(self.top, accuracy)), flush=True)
                elif prediction.error is not None:
                    print(f"skipped: {prediction.error}", file=sys.stderr)
                else:
                    print(described(prediction, self.top, self.accuracy), flush=True)
        return report_unreadable(failed, total)


@dataclass
class Explain:
    """Draw why: boxes, heat map, streams, the best class against the next, parts erased: one PNG a picture."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    pictures: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PICTURE ...", help_behavior_hint=NOT_GIVEN)
    ]
    """Picture files; the pictures of a folder."""
    out: Path
    """Folder for the drawings; each is named by its number and the picture's name."""
    batch_size: int = 16
    """Pictures at a time."""
    device: Device = "auto"
    """What the nets run on; auto: as the run was trained, on a GPU where there is one."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar._system.files import make_folder
        from wingbar.explain import draw_panels
        from wingbar.recognizer import load

        recognizer = load(self.run_folder, device=self.device)
        make_folder(self.out)
        failed = total = 0
        predictions = recognizer.predict_many(expand(self.pictures), self.batch_size)
        for prediction, drawn in draw_panels(predictions, self.out, recognizer.predict_many):
            failed, total = failed + (drawn is None), total + 1
            if drawn is None:
                print(f"skipped: {prediction.error}", file=sys.stderr)
            else:
                print(f"{drawn}: {prediction.path!r} {described_contrast(prediction)}", flush=True)
        return report_unreadable(failed, total)


@dataclass
class Guide:
    """Write the run's field guide: classes, field marks, look-alikes. Opens in a browser, without network."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder."""
    data: Annotated[
        tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[DATA]", help_behavior_hint=NOT_GIVEN)
    ] = None
    """Data set that the run was trained on, where it has moved."""
    images_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder that the paths of the table DATA start at; by default the table's own."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder for the guide; by default RUN/guide. Needed for a model folder alone, which stays as it is."""
    per_class: int = 24
    """Training pictures of each class that are predicted."""
    batch_size: int = 16
    """Pictures at a time."""
    device: Device = "auto"
    """What the nets run on; auto: as the run was trained, on a GPU where there is one."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.guide import write_guide

        index = write_guide(
            self.run_folder,
            self.data,
            images_root=self.images_root,
            out=self.out,
            per_class=self.per_class,
            batch_size=self.batch_size,
            device=self.device,
        )
        print(index)
        return 0


@dataclass
class Export:
    """Write a model's nets as ONNX files that take plain pixels, for other programs. Needs wingbar[export]."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    out: Path
    """Folder for the files."""
    int8: Flag = False
    """Weights of a byte each: smaller files; measure what that costs before you use them."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.evaluation.tables import render
        from wingbar.model.export import export

        rows = [
            [
                exported.file,
                f"{exported.megabytes:.2f}",
                "; ".join(f"{name} {value:.1e}" for name, value in exported.differences.items()),
            ]
            for exported in export(self.run_folder, self.out, int8=self.int8)
        ]
        print(render(["file", "MB", "largest differences from the model"], rows))
        return 0


@dataclass
class Serve:
    """Name pictures in a browser, or over HTTP as JSON, until stopped. No picture is kept."""

    run_folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run folder, or its model folder alone."""
    host: str = "127.0.0.1"
    """Address to listen at: this machine's alone by default, 0.0.0.0 for all networks."""
    port: int = 8000
    """Port to listen at; 0 for any that is free."""
    host_name: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...", help_behavior_hint=NOT_GIVEN)] = ()
    """Names that visitors may call the server by, beside localhost; needed behind a proxy that keeps them."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="DATA", help_behavior_hint=NOT_GIVEN)] = None
    """Data set to show examples from; by default the one that the run was trained on, where it is there."""
    images_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint=NOT_GIVEN)] = None
    """Folder that the paths of the table DATA start at; by default the table's own."""
    max_megabytes: int = 32
    """Size of a picture's file at most."""
    max_megapixels: int = 120
    """Pixels of a picture at most, in millions."""
    queue: int = 32
    """Most pictures at a time that are received, waiting or predicted; further requests have to come again."""
    device: Device = "auto"
    """What the nets run on; auto: as the run was trained, on a GPU where there is one."""
    debug: Flag = False
    """Show the traceback of an error."""

    def run(self) -> int:
        from wingbar.serve import require

        require()
        from wingbar.serve.body import RequestLimits
        from wingbar.serve.server import serve

        if min(self.max_megabytes, self.max_megapixels, self.queue) < 1:
            raise ConfigError("--max-megabytes, --max-megapixels and --queue must be at least 1.")

        serve(
            self.run_folder,
            host=self.host,
            port=self.port,
            data=self.data,
            images_root=self.images_root,
            names=self.host_name,
            limits=RequestLimits(size=self.max_megabytes << 20, pixels=self.max_megapixels * 10**6),
            places=self.queue,
            device=self.device,
        )
        return 0


def expand(paths: tuple[Path, ...]) -> list[Path]:
    """The given files, and the pictures in the given folders. A missing path counts as an unreadable picture.

    Prints what it passes over. Raises DataError where a folder cannot be listed, or has no pictures.
    """
    from wingbar.data.checks import EXTENSIONS
    from wingbar.data.folders import Tally
    from wingbar.data.listing import pictures_in

    if not paths:
        raise DataError("name at least one picture, or a folder of pictures.")
    pictures: list[Path] = []
    passed_over = Tally()
    for path in paths:
        in_folder = list(pictures_in(path, passed_over)) if path.is_dir() else [path]
        if not in_folder:
            raise DataError(
                f"{path}: no pictures in this folder ({', '.join(sorted(EXTENSIONS))}). "
                + " ".join(f"{line}." for line in passed_over.lines())
            )
        pictures += in_folder
    for line in passed_over.lines():
        print(printable(line, 4096), file=sys.stderr)
    return pictures


def accuracy_of(asked: float | None) -> float:
    """The accuracy of an option. Raises ConfigError for an impossible one."""
    from wingbar.prediction import ACCURACY

    if asked is not None and not 0 < asked < 1:
        raise ConfigError(f"--accuracy is {asked}; it must be between 0 and 1, as 0.95.")
    return ACCURACY if asked is None else asked


def described(prediction: Prediction, top: int, accuracy: float | None = None) -> str:
    """A prediction as lines for people; with an ``accuracy`` what they asked for, else what they should know."""
    from wingbar.explain.placing import part_names

    x1, y1, x2, y2 = prediction.object_box
    names = ", ".join(f"{printable(label)} {score:.1%}" for label, score in list(prediction.scores.items())[:top])
    if prediction.stranger:
        names = f"none of the {len(prediction.everywhere or prediction.scores)} classes (looks most like {names})"
    named = zip(part_names([part.cluster for part in prediction.parts]), prediction.parts, strict=True)
    parts = "; ".join(f"part {name} at {part.box}" for name, part in named)
    candidates = [printable(label) for label in prediction.candidates()] if prediction.held_out else []
    if 1 < len(candidates) <= top and not prediction.stranger:
        names += f"\n  nine times in ten one of: {', '.join(candidates)}"
    names += described_place(prediction)
    if accuracy is not None and prediction.lineages is None:
        names += "\n  no answer at an accuracy: the model, or a single pass, has no held-out pictures for it"
    elif not prediction.stranger:
        answer = prediction.worth_telling() if accuracy is None else prediction.answer(accuracy)
        names += f"\n  {answer.text}" if answer else ""
    where = f"  object at {(x1, y1, x2, y2)}" + (f"; {parts}" if parts else "")
    return f"{printable(str(prediction.path), 4096)}: {names}\n{where}"


def described_place(prediction: Prediction) -> str:
    """What the list of a place left out of an answer, as a line of its own; empty where that is nothing."""
    others = [name for name in prediction.everywhere if name not in prediction.scores]
    if prediction.outside < TOLD_OUTSIDE:
        return ""
    most = printable(max(others, key=lambda name: prediction.everywhere[name]))
    return f"\n  not on the list: {prediction.outside:.1%} for other classes, most for {most}"


def answer_occasions(
    pictures: list[Path], predictions: list[Prediction], top: int, as_json: bool, accuracy: float
) -> int:
    """Print one answer an occasion; returns the exit code."""
    from wingbar.data.occasions import occasions, taken
    from wingbar.prediction import of_one_occasion

    groups: dict[int, list[Prediction]] = {}
    for group, prediction in zip(occasions([taken(path) for path in pictures]).tolist(), predictions, strict=True):
        groups.setdefault(group, []).append(prediction)
    for members in groups.values():
        answer = of_one_occasion(members, top, accuracy)
        if as_json:
            print(json.dumps(answer), flush=True)
            continue
        for prediction in members:
            if prediction.error is not None:
                print(f"skipped: {prediction.error}", file=sys.stderr)
        if "error" in answer:
            continue
        names = ", ".join(f"{printable(label)} {score:.1%}" for label, score in answer["scores"].items())
        if answer.get("stranger"):
            classes = max(len(one.everywhere or one.scores) for one in members)  # none of what could not be read
            names = f"none of the {classes} classes (looks most like {names})"
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        answer_line = f"\n  {answer['answer']['text']}" if "answer" in answer and not answer.get("stranger") else ""
        print(f"{printable(str(members[0].path), 4096)}{more}: {names}{answer_line}", flush=True)
    return report_unreadable(sum(one.error is not None for one in predictions), len(predictions))


def described_contrast(prediction: Prediction) -> str:
    """The two likeliest classes in half a line."""
    (first, score), (second, other) = list(prediction.scores.items())[:2]
    return f"{printable(first)} {score:.1%}, rather than {printable(second)} {other:.1%}"


def report_unreadable(failed: int, total: int) -> int:
    """Print how many pictures could not be read; returns the exit code."""
    if failed:
        print(f"{failed} of {several(total, 'picture')} could not be read", file=sys.stderr)
    return 0 if not failed else 2 if failed == total else UNREADABLE
