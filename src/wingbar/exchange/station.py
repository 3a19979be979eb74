"""The place that pictures come from, as observations name it, and the scientific names of the classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from wingbar._system.settings import fill, read_toml, within
from wingbar._system.text import display_names
from wingbar.data.occasions import taken
from wingbar.data.rows import read_rows
from wingbar.errors import ConfigError
from wingbar.exchange.answers import PictureAnswer
from wingbar.exchange.table import plain_text


@dataclass(frozen=True)
class Station:
    """A place with a camera: the keys of a station's TOML file."""

    id: str = ""
    """Its name in the data, unique in the project."""
    latitude: float | None = None
    """In degrees north, WGS 84."""
    longitude: float | None = None
    """In degrees east, WGS 84."""
    utc_offset: str = ""
    """The camera's clock against UTC: ``+01:00``, or ``Z``."""
    project: str = ""
    """Title of the project."""
    contributor: str = ""
    """Who gives the data away: a person or an organisation."""
    sampling_design: Literal[
        "simpleRandom", "systematicRandom", "clusteredRandom", "experimental", "targeted", "opportunistic"
    ] = "opportunistic"
    capture_method: Literal["activityDetection", "timeLapse"] = "activityDetection"

    def require(self, *keys: str) -> None:
        """Raises ConfigError where one of ``keys`` is not given."""
        if missing := [key for key in keys if getattr(self, key) in ("", None)]:
            raise ConfigError(f"the station lacks {', '.join(missing)}: write it into the file of --station.")


def read_station(file: Path) -> Station:
    """The station of a TOML file. Raises ConfigError."""
    try:
        station = fill(Station(), read_toml(file, "--station"), "")
        within(station, "", latitude=(-90, 90), longitude=(-180, 180))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    if not re.fullmatch(r"(Z|[+-](0\d|1[0-4]):[0-5]\d)?", station.utc_offset):
        raise ConfigError(f"{file}: utc_offset is {station.utc_offset!r}; write it like '+01:00', or 'Z'.")
    return station


def read_taxa(file: Path) -> dict[str, str]:
    """Label -> scientific name, from a table with these columns. Raises DataError."""
    return {row.values["label"]: row.values["scientificname"] for row in read_rows(file, ("label", "scientificname"))}


def scientific_names(answers: Iterable[PictureAnswer], taxa: Mapping[str, str]) -> dict[str, str]:
    """Label -> scientific name: that of ``taxa``, else the label itself as people read it."""
    labels = sorted({answer.label for answer in answers})
    shown = dict(zip(labels, display_names(labels), strict=True))
    return {label: plain_text(taxa.get(label) or shown[label]) for label in labels}


def times(answers: Iterable[PictureAnswer], pictures: Path | None) -> dict[str, datetime]:
    """Path -> when the picture was taken by its EXIF, in the camera's time; without those that do not say."""
    places = {answer.path: pictures / answer.path for answer in answers} if pictures is not None else {}
    taken_at = {path: taken(place) for path, place in places.items() if pictures and place.is_relative_to(pictures)}
    start = datetime(1900, 1, 1)
    return {path: start + timedelta(seconds=when[1]) for path, when in taken_at.items() if when is not None}
