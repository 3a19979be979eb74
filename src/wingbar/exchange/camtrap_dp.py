"""Observations as a Camera Trap Data Package, Camtrap DP 1.0: deployments, media and observations of one station.

    datapackage.json, deployments.csv, media.csv, observations.csv

Bubnicki et al., "Camtrap DP: an open standard for the FAIR exchange and archiving of camera trap data", Remote Sensing
in Ecology and Conservation, 2023; camtrap-dp.tdwg.org. Each picture is a medium with one observation of its level, in
the object's box. Candidates and `known` are tags. A picture of none of the classes is of the type ``unknown``. The
standard needs the time of each picture, so those whose EXIF does not say it are left out.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from wingbar import __version__
from wingbar._system.text import slug
from wingbar.exchange.answers import PictureAnswer, to_json
from wingbar.exchange.darwin_core import identifier, remarks
from wingbar.exchange.station import Station
from wingbar.exchange.table import FORMULA, lines

STANDARD = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2"
DEPLOYMENTS = (
    "deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty", "deploymentStart",
    "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay", "cameraHeight", "cameraDepth", "cameraTilt",
    "cameraHeading", "detectionDistance", "timestampIssues", "baitUse", "featureType", "habitat", "deploymentGroups",
    "deploymentTags", "deploymentComments",
)  # fmt: skip
MEDIA = (
    "mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype",
    "exifData", "favorite", "mediaComments",
)  # fmt: skip
OBSERVATIONS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel",
    "observationType", "cameraSetupType", "scientificName", "count", "lifeStage", "sex", "behavior", "individualID",
    "individualPositionRadius", "individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth",
    "bboxHeight", "classificationMethod", "classifiedBy", "classificationTimestamp", "classificationProbability",
    "observationTags", "observationComments",
)  # fmt: skip
NEEDED = ("id", "latitude", "longitude", "utc_offset", "project", "contributor")
"""What the standard asks of a station."""


def why_not(answer: PictureAnswer, moments: Mapping[str, datetime]) -> str | None:
    """Why the standard takes no such picture; None where it does."""
    if answer.path.startswith((".", "/", "~", *FORMULA)) or ".." in answer.path or "\n" in answer.path:
        return "Camtrap DP takes no such path"
    return None if answer.path in moments else "its EXIF does not say when it was taken (--pictures names the folder)"


def files(
    answers: Sequence[PictureAnswer], names: Mapping[str, str], station: Station, moments: Mapping[str, datetime]
) -> dict[str, bytes]:
    """Name -> content of each file. All ``answers`` are such as the standard takes (`why_not`), and there is one.

    ``names`` are label -> scientific name, ``moments`` path -> time of the picture.
    """
    stamp_of = {answer.path: moments[answer.path].isoformat() + station.utc_offset for answer in answers}
    stamps = sorted(stamp_of.values())
    species = sorted({names[answer.label] for answer in answers if not answer.stranger})
    return {
        "deployments.csv": _table(DEPLOYMENTS, [_deployment(station, stamps)]),
        "media.csv": _table(MEDIA, [_medium(answer, station, stamp_of[answer.path]) for answer in answers]),
        "observations.csv": _table(
            OBSERVATIONS, [_observation(answer, names, station, stamp_of[answer.path]) for answer in answers]
        ),
        "datapackage.json": to_json(_package(station, stamps, species)),
    }


def _table(columns: Sequence[str], rows: Sequence[dict[str, object]]) -> bytes:
    return lines([columns, *([_cell(row.get(column)) for column in columns] for row in rows)])


def _cell(value: object) -> object:
    """Frictionless tables write truth as ``true``."""
    return str(value).lower() if isinstance(value, bool) else value


def _deployment(station: Station, stamps: Sequence[str]) -> dict[str, object]:
    return {
        "deploymentID": station.id, "latitude": station.latitude, "longitude": station.longitude,
        "deploymentStart": stamps[0], "deploymentEnd": stamps[-1],
    }  # fmt: skip


def _medium(answer: PictureAnswer, station: Station, stamp: str) -> dict[str, object]:
    kind, _ = mimetypes.guess_type(answer.path)
    name = answer.path.rsplit("/", 1)[-1]
    return {
        "mediaID": identifier(answer, station), "deploymentID": station.id, "captureMethod": station.capture_method,
        "timestamp": stamp, "filePath": answer.path, "filePublic": False,
        "fileName": None if name.startswith(FORMULA) else name,
        "fileMediatype": kind or f"image/{answer.path.rsplit('.', 1)[-1].lower()}",
    }  # fmt: skip


def _observation(answer: PictureAnswer, names: Mapping[str, str], station: Station, stamp: str) -> dict[str, object]:
    (x1, y1, x2, y2), (width, height) = answer.box, answer.size
    tags = [f"candidates:{', '.join(answer.candidates)}"] if answer.candidates else []
    tags += [] if answer.known is None else [f"known:{answer.known}"]
    kind = {"observationType": "unknown"} if answer.stranger else {
        "observationType": "animal", "scientificName": names[answer.label],
        "classificationProbability": answer.score,
    }  # fmt: skip
    return {
        "observationID": f"{identifier(answer, station)}-1", "deploymentID": station.id,
        "mediaID": identifier(answer, station), "eventStart": stamp, "eventEnd": stamp, "observationLevel": "media",
        **kind, "bboxX": round(x1 / width, 6), "bboxY": round(y1 / height, 6),
        "bboxWidth": round((x2 - x1) / width, 6), "bboxHeight": round((y2 - y1) / height, 6),
        "classificationMethod": "machine", "classifiedBy": f"Wingbar {__version__}",
        "observationTags": " | ".join(tag.replace("|", "/") for tag in tags), "observationComments": remarks(answer),
    }  # fmt: skip


def _package(station: Station, stamps: Sequence[str], species: Sequence[str]) -> dict[str, Any]:
    return {
        "profile": f"{STANDARD}/camtrap-dp-profile.json",
        "name": slug(station.project) or "camtrap",
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "contributors": [{"title": station.contributor, "role": "contact"}],
        "sources": [{"title": "Wingbar", "version": __version__}],
        "project": {
            "title": station.project, "samplingDesign": station.sampling_design,
            "captureMethod": [station.capture_method], "individualAnimals": False, "observationLevel": ["media"],
        },
        "spatial": {"type": "Point", "coordinates": [station.longitude, station.latitude]},
        "temporal": {"start": stamps[0][:10], "end": stamps[-1][:10]},
        "taxonomic": [{"scientificName": name} for name in species],
        "resources": [
            {
                "name": name, "path": f"{name}.csv", "profile": "tabular-data-resource", "format": "csv",
                "mediatype": "text/csv", "encoding": "utf-8", "schema": f"{STANDARD}/{name}-table-schema.json",
            }
            for name in ("deployments", "media", "observations")
        ],
    }  # fmt: skip
