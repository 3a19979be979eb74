"""The one door: kept answers in, another program's file or folder out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from wingbar._system.files import make_folder, write_bytes, writing
from wingbar.data.folders import Tally
from wingbar.errors import ConfigError, DataError
from wingbar.exchange import camtrap_dp, coco, darwin_core, label_studio, table, yolo
from wingbar.exchange.answers import LeaveOut, PictureAnswer, begins_as_json, read_answers
from wingbar.exchange.station import Station, read_station, read_taxa, scientific_names, times

Target = Literal["csv", "coco", "yolo", "label-studio", "darwin-core", "camtrap-dp"]
BOXES = ("coco", "yolo")
"""Formats of labels for detectors: a picture of none of the classes is left out."""

OBSERVATIONS = ("darwin-core", "camtrap-dp")
"""Formats that tell when a picture was taken."""


@dataclass(frozen=True)
class Converted:
    """What became of the answers."""

    count: int
    """Pictures that are in what was written."""
    left_out: Tally


def convert(
    source: Path,
    to: Target,
    out: Path,
    *,
    pictures: Path | None = None,
    station: Path | None = None,
    taxa: Path | None = None,
    min_score: float = 0.0,
) -> Converted:
    """Write the answers of ``source`` (see `read_answers`; or Label Studio's export) to the new file or folder ``out``.

    ``pictures`` is the folder that their paths start at, ``station`` a TOML file about the place, ``taxa`` a table of
    scientific names. Answers with a score below ``min_score`` are left out. Of two answers to one picture the later
    one counts.

    Raises DataError for a source that cannot be read, RunError where ``out`` cannot be written, ConfigError for
    an impossible setting or an ``out`` that is there.
    """
    if not 0 <= min_score <= 1:
        raise ConfigError(f"min_score is {min_score}; it must lie between 0 and 1.")
    if os.path.lexists(out):
        raise ConfigError(f"{out} is there already, and nothing is overwritten: remove it, or choose another --out.")
    if not source.exists():
        raise DataError(f"{str(source)!r}: no such file or folder.")
    if pictures is not None and not pictures.is_dir():
        raise DataError(f"{str(pictures)!r} is no folder: give the one that the answers' paths start at.")
    place, species = Station() if station is None else read_station(station), {} if taxa is None else read_taxa(taxa)
    if to == "camtrap-dp":
        place.require(*camtrap_dp.NEEDED)
    left_out = Tally(3)
    answers = _answers(source, to, min_score, lambda path, reason: left_out(Path(path), reason))
    moments = times(answers, pictures) if to in OBSERVATIONS else {}
    if to == "camtrap-dp":
        reasons = {answer.path: reason for answer in answers if (reason := camtrap_dp.why_not(answer, moments))}
        for path, reason in reasons.items():
            left_out(Path(path), reason)
        answers = [answer for answer in answers if answer.path not in reasons]
    if not answers:
        reasons_left = " ".join(f"{line}." for line in left_out.lines("left out"))
        raise DataError(f"{str(source)!r}: no answer is left. {reasons_left}")
    content = _encoded(answers, to, place, scientific_names(answers, species), moments)
    if isinstance(content, bytes):
        write_bytes(out, content)
    else:
        _write_folder(out, content, _links(answers, pictures) if to == "yolo" and pictures is not None else {})
    return Converted(len(answers), left_out)


def _answers(source: Path, to: Target, min_score: float, leave_out: LeaveOut) -> list[PictureAnswer]:
    if source.is_file() and begins_as_json(source):
        if to != "csv":
            raise ConfigError(f"{source} has labels without boxes and scores, which make a table alone: --to csv.")
        return list({answer.path: answer for answer in label_studio.read(source, leave_out)}.values())
    unread: dict[str, str] = {}
    latest = {answer.path: answer for answer in read_answers(source, unread.__setitem__)}
    for path, reason in unread.items():
        if path not in latest:  # a watch may have read it later
            leave_out(path, reason)
    return [answer for answer in latest.values() if _fits(answer, to, min_score, leave_out)]


def _fits(answer: PictureAnswer, to: Target, min_score: float, leave_out: LeaveOut) -> bool:
    if answer.score is not None and answer.score < min_score:
        leave_out(answer.path, f"its score is below {min_score}")
        return False
    if answer.stranger and to in BOXES:
        leave_out(answer.path, "it seems to show none of the classes")
        return False
    return True


def _encoded(
    answers: Sequence[PictureAnswer],
    to: Target,
    place: Station,
    names: Mapping[str, str],
    moments: Mapping[str, datetime],
) -> bytes | dict[str, bytes]:
    """The content of a file, or that of each file of a folder, the one that lists the others last."""
    match to:
        case "csv":
            return table.encode(answers)
        case "coco":
            return coco.encode(answers)
        case "yolo":
            return yolo.files(answers)
        case "label-studio":
            return label_studio.files(answers)
        case "darwin-core":
            return darwin_core.encode(answers, names, place, moments)
        case "camtrap-dp":
            return camtrap_dp.files(answers, names, place, moments)


def _links(answers: Sequence[PictureAnswer], pictures: Path) -> dict[str, Path]:
    """Name -> picture of each link that YOLO finds pictures by."""
    places = {f"images/{answer.path}": pictures.resolve() / answer.path for answer in answers}
    return {name: place for name, place in places.items() if place.is_file()}


def _write_folder(out: Path, content: Mapping[str, bytes], links: Mapping[str, Path]) -> None:
    """A new folder of files and of links to files; nothing is left of it where it cannot be written."""
    make_folder(out)
    with writing(out):
        try:
            for name, target in links.items():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).symlink_to(target)
            for name, inner in content.items():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(inner)
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise
