"""Types of options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import tyro

Flag = tyro.conf.FlagCreatePairsOff[Annotated[bool, tyro.conf.arg(help_behavior_hint="")]]
"""An option without a value, off by default; it has no `--no-` twin."""
NOT_GIVEN = ""
"""The hint of an option whose default its text tells."""
Device = Literal["auto", "cpu", "cuda", "mps"]
"""What nets run on."""


class PlaceArguments(TypedDict):
    """What is known of the place that pictures come from."""

    only: list[str] | None
    prior: dict[str, float] | None


Only = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint=NOT_GIVEN)]
Prior = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint=NOT_GIVEN)]


def place_of(classes: Sequence[str], only: Path | None, prior: Path | None) -> PlaceArguments:
    """What `Recognizer.predict` is told of a place, from the files of ``--only`` and ``--prior``.

    Prints how many classes are there, and the names that are no classes of the model. Raises DataError.
    """
    from wingbar.data.places import read_only, read_prior
    from wingbar.opam.place import class_weights

    place: PlaceArguments = {"only": None, "prior": None}
    lines: list[str] = []
    if only is not None:
        place["only"], unknown = read_only(only, classes)
        lines += unknown
    if prior is not None:
        place["prior"], unknown = read_prior(prior, classes)
        lines += unknown
    if (weights := class_weights(classes, **place)) is not None:
        lines.append(f"{len(weights)} of the model's {len(classes)} classes are at this place: scores are of these")
    for line in lines:
        print(line, file=sys.stderr)
    return place


def views_of(fast: bool) -> Literal["all", "picture"]:
    """What `--fast` means: the nets are shown the whole picture alone."""
    return "picture" if fast else "all"
