"""The findings of an audit, written down: `data-check.json` for programs, `index.html` with thumbnails for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from wingbar._system.files import write_bytes, write_json, write_text
from wingbar._system.text import visible
from wingbar.check.audit import Fault, Finding
from wingbar.data.sample import Dataset, Sample
from wingbar.errors import PictureError
from wingbar.images import read_picture, small_jpeg

SHOWN = 60
"""Items of a finding that the sheet shows; the JSON file lists all."""
THUMBNAIL = 180
"""Longest side of a thumbnail, in pixels."""
WIDE = 72
"""Letters of the table's last column."""
MEMBERS = 12
"""Copies of one photograph that the sheet shows."""


def to_dict(dataset: Dataset, findings: Sequence[Finding]) -> dict[str, Any]:
    """Plain values: classes with their pictures, and every thing found under its finding's key."""
    count = Counter((sample.label, sample.split) for sample in dataset.samples)
    return {
        "data": visible(dataset.name),
        "layout": dataset.layout,
        "pictures": len(dataset.samples),
        "classes": {
            visible(name): {"train": count[label, "train"], "test": count[label, "test"]}
            for label, name in enumerate(dataset.classes)
        },
        "findings": {
            finding.key: {
                "title": finding.title,
                "advice": finding.advice,
                "items": [
                    {
                        "pictures": [_picture(dataset, sample) for sample in item.pictures],
                        **{
                            key: visible(value) if isinstance(value, str) else value
                            for key, value in item.facts.items()
                        },
                    }
                    for item in finding.items
                ],
            }
            for finding in findings
        },
    }


def write(folder: Path, dataset: Dataset, findings: Sequence[Finding]) -> Path:
    """Write both files and the thumbnails, under numbered names; returns the sheet's path."""
    from jinja2 import Environment, StrictUndefined

    value = to_dict(dataset, findings)
    write_json(folder / "data-check.json", value)
    number = 0
    for finding, record in zip(findings, value["findings"].values(), strict=True):
        for item, shown in list(zip(finding.items, record["items"], strict=True))[:SHOWN]:
            shown["facts"] = [(key, fact) for key, fact in shown.items() if key != "pictures"]
            shown["more"] = len(item.pictures[MEMBERS:])
            shown["pictures"] = shown["pictures"][:MEMBERS]
            for sample, picture in zip(item.pictures, shown["pictures"], strict=False):
                number += 1
                picture["thumbnail"] = _thumbnail(folder, number, sample)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("wingbar.check").joinpath("sheet.html").read_text(encoding="utf-8"))
    write_text(folder / "index.html", template.render(value, summary=dataset.describe(), limit=SHOWN))
    return folder / "index.html"


def rows(findings: Sequence[Finding]) -> list[list[str]]:
    """Title, number found and the first thing found of each finding, for a table."""
    return [[finding.title, str(len(finding.items)), _first(finding.items)] for finding in findings]


def _first(items: Sequence[Fault]) -> str:
    if not items:
        return "-"
    pictures = [sample.key for sample in items[0].pictures[:2]]
    facts = [f"{key} {value}" for key, value in items[0].facts.items()]
    text = visible("; ".join([*pictures, *facts]))
    return text if len(text) <= WIDE else text[: WIDE - 1] + "…"


def _picture(dataset: Dataset, sample: Sample) -> dict[str, Any]:
    return {"path": visible(sample.key), "class": visible(dataset.classes[sample.label]), "split": sample.split}


def _thumbnail(folder: Path, number: int, sample: Sample) -> str | None:
    """Its path relative to the sheet; None for a picture that cannot be read."""
    try:
        content = small_jpeg(read_picture(sample.path, short_side=THUMBNAIL), THUMBNAIL)
    except PictureError:
        return None
    name = f"thumbnails/{number:05}.jpg"
    write_bytes(folder / name, content)
    return name
