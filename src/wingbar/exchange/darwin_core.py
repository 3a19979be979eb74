"""Observations as a table of Darwin Core occurrences, as GBIF takes them: a row a picture.

Darwin Core, "Quick reference guide" (dwc.tdwg.org/terms). An answer is a machine's and verified by nobody, and says so.
Candidates, scores and `known` are in ``dynamicProperties`` as JSON, for which Darwin Core has no terms. A picture of
none of the classes has no ``scientificName``: what it looks most like is in ``identificationRemarks``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from wingbar import __version__
from wingbar.exchange.answers import PictureAnswer
from wingbar.exchange.station import Station
from wingbar.exchange.table import lines, plain_text

TERMS = (
    "occurrenceID", "basisOfRecord", "occurrenceStatus", "eventDate", "locationID", "decimalLatitude",
    "decimalLongitude", "geodeticDatum", "scientificName", "verbatimIdentification", "identifiedBy",
    "identificationVerificationStatus", "identificationRemarks", "associatedMedia", "dynamicProperties",
)  # fmt: skip


def encode(
    answers: Sequence[PictureAnswer], names: Mapping[str, str], station: Station, moments: Mapping[str, datetime]
) -> bytes:
    """The table. ``names`` are label -> scientific name, ``moments`` path -> time of the picture."""
    return lines([TERMS, *(_row(answer, names, station, moments.get(answer.path)) for answer in answers)])


def identifier(answer: PictureAnswer, station: Station) -> str:
    """A name of an observation that is the same whenever it is told."""
    return hashlib.sha256(f"{station.id}\n{answer.path}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def remarks(answer: PictureAnswer) -> str:
    """What a person has to know of a machine's answer, in a line."""
    notes = [f"named by a machine with a score of {answer.score}"]
    if answer.stranger:
        notes = [f"none of the classes that the machine knows; looks most like {answer.label}"]
    if answer.candidates:
        notes.append(f"nine times in ten one of: {', '.join(answer.candidates)}")
    return "; ".join(notes)


def _row(answer: PictureAnswer, names: Mapping[str, str], station: Station, moment: datetime | None) -> list[object]:
    placed = station.latitude is not None and station.longitude is not None
    more = {
        "score": answer.score, "scores": answer.scores, "candidates": list(answer.candidates), "known": answer.known,
        "stranger": answer.stranger, "objectBox": list(answer.box), "imageSize": list(answer.size),
    }  # fmt: skip
    return [
        identifier(answer, station), "MachineObservation", "present",
        "" if moment is None else moment.isoformat() + station.utc_offset, plain_text(station.id),
        *((station.latitude, station.longitude, "EPSG:4326") if placed else ("", "", "")),
        "" if answer.stranger else names[answer.label], plain_text(answer.label), f"Wingbar {__version__}",
        "unverified", remarks(answer), plain_text(answer.path), json.dumps(more),
    ]  # fmt: skip
