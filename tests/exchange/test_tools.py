"""What `convert` writes, read by the programs that it is written for: `make test-exchange` installs them.

frictionless is what Camtrap DP is validated by, python-dwca-reader reads Darwin Core archives, label-studio-sdk and
ultralytics are the makers' own.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from answered import PARTS, TIT, WREN

from wingbar.exchange.convert import convert

REMEDY = "is missing: make test-exchange brings it"


def tool(name: str, package: str) -> Any:
    """The program's module. Without it the test is skipped, but not where all of them have to be there."""
    if os.environ.get("WINGBAR_TOOLS"):
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{package} {REMEDY}")


# Camtrap DP 1.0 (camtrap-dp.tdwg.org/data): the fields that we fill, and what the standard asks of them.
NEEDED, SHARE = {"required": True}, {"minimum": 0, "maximum": 1}
UNIQUE = {"required": True, "unique": True}
MOMENT = {"type": "datetime", "format": "%Y-%m-%dT%H:%M:%S%z", "constraints": NEEDED}
KEY = {"type": "string", "constraints": UNIQUE}
TEXT = {"type": "string", "constraints": NEEDED}
CAPTURE = {"type": "string", "constraints": {"enum": ["activityDetection", "timeLapse"]}}
PATH = {"type": "string", "constraints": {"required": True, "pattern": r"^(?=^[^./~])(^((?!\.{2}).)*$).*$"}}
KINDS = ["animal", "human", "vehicle", "blank", "unknown", "unclassified"]
FIELDS = {
    "deployments": {
        "deploymentID": KEY, "deploymentStart": MOMENT, "deploymentEnd": MOMENT,
        "latitude": {"type": "number", "constraints": {"required": True, "minimum": -90, "maximum": 90}},
        "longitude": {"type": "number", "constraints": {"required": True, "minimum": -180, "maximum": 180}},
    },
    "media": {
        "mediaID": KEY, "deploymentID": TEXT, "captureMethod": CAPTURE, "timestamp": MOMENT,
        "filePath": PATH, "filePublic": {"type": "boolean", "constraints": NEEDED},
        "fileMediatype": {"type": "string", "constraints": {"required": True, "pattern": "^(image|video|audio)/.*$"}},
    },
    "observations": {
        "observationID": KEY, "deploymentID": TEXT, "eventStart": MOMENT, "eventEnd": MOMENT,
        "observationLevel": {"type": "string", "constraints": {"required": True, "enum": ["media", "event"]}},
        "observationType": {"type": "string", "constraints": {"required": True, "enum": KINDS}},
        "classificationMethod": {"type": "string", "constraints": {"enum": ["human", "machine"]}},
        "classificationProbability": {"type": "number", "constraints": SHARE},
        **{f"bbox{side}": {"type": "number", "constraints": SHARE} for side in ("X", "Y", "Width", "Height")},
    },
}  # fmt: skip
LINKS = {"media": {"deploymentID": "deployments"}, "observations": {"deploymentID": "deployments", "mediaID": "media"}}


def schema(name: str, columns: list[str]) -> dict[str, object]:
    """A Table Schema of one of the package's tables."""
    links = LINKS.get(name, {}).items()
    return {
        "fields": [{"name": column, "type": "string", **FIELDS[name].get(column, {})} for column in columns],
        "missingValues": ["", "NaN", "nan"],
        "primaryKey": columns[0],
        "foreignKeys": [{"fields": key, "reference": {"resource": table, "fields": key}} for key, table in links],
    }


def package(answers: Path, pictures: Path, station: Path, out: Path) -> Path:
    """A camera trap package whose tables' schemas need no network."""
    convert(answers, "camtrap-dp", out, pictures=pictures, station=station)
    written = json.loads((out / "datapackage.json").read_text())
    for one in written["resources"]:
        header = (out / one["path"]).read_text().splitlines()[0]
        one["schema"] = schema(one["name"], header.split(","))
    del written["profile"]
    (out / "datapackage.json").write_text(json.dumps(written))
    return out


def test_frictionless_finds_a_camera_trap_package_valid(
    answers: Path, pictures: Path, station: Path, tmp_path: Path
) -> None:
    frictionless = tool("frictionless", "frictionless")
    out = package(answers, pictures, station, tmp_path / "package")
    report = frictionless.validate(str(out / "datapackage.json"))
    assert report.valid, report.flatten(["title", "message"])
    assert [task.stats["rows"] for task in report.tasks] == [1, 2, 2]
    observations = out / "observations.csv"
    observations.write_text(observations.read_text().replace("animal", "bird").replace("pond", "lake"))
    errors = {error for error, _ in frictionless.validate(str(out / "datapackage.json")).flatten(["type", "message"])}
    assert errors >= {"constraint-error", "foreign-key"}


def test_an_archives_reader_knows_every_term_of_the_occurrences(
    answers: Path, pictures: Path, station: Path, tmp_path: Path
) -> None:
    """A table alone in a folder is an archive, as the standard has it: its first line names the terms."""
    read = tool("dwca.read", "python-dwca-reader")
    from dwca.darwincore.terms import TERMS

    (tmp_path / "archive").mkdir()
    convert(answers, "darwin-core", tmp_path / "archive" / "occurrence.csv", pictures=pictures, station=station)
    with read.DwCAReader(str(tmp_path / "archive")) as archive:
        rows = [row.data for row in archive]
    known = {term.rsplit("/", 1)[1] for term in TERMS}
    assert set(rows[0]) - known == {"verbatimIdentification"}  # a term of 2021; the reader's list is older
    assert [row["scientificName"] for row in rows] == ["Cyanistes caeruleus", "Parus major", ""]
    assert [row["basisOfRecord"] for row in rows] == ["MachineObservation"] * 3


def test_ultralytics_reads_the_boxes(
    answers: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    dataset = tool("ultralytics.data.dataset", "ultralytics")
    from ultralytics.data.utils import check_det_dataset

    convert(answers, "yolo", tmp_path / "yolo", pictures=pictures)
    read = check_det_dataset(str(tmp_path / "yolo" / "data.yaml"), autodownload=False)
    result = {
        Path(one["im_file"]).name: [
            (read["names"][int(number)], *(box * [80, 60, 80, 60]).round(2).tolist())
            for number, box in zip(one["cls"].ravel(), one["bboxes"], strict=True)
        ]
        for one in dataset.YOLODataset(img_path=read["train"], data=read, augment=False).labels
    }
    boxes = zip(
        ("Cyanistes_caeruleus", "part 1", "part 2"), (WREN.object_box, *(one.box for one in PARTS)), strict=True
    )
    assert result["wren.jpg"] == [(name, (a + c) / 2, (b + d) / 2, c - a, d - b) for name, (a, b, c, d) in boxes]
    assert result["tit.webp"][0] == ("Parus_major", 40, 30, 80, 60)


def test_label_studio_takes_the_tasks_and_the_predictions(answers: Path, tmp_path: Path) -> None:
    sdk = tool("label_studio_sdk.label_interface", "label-studio-sdk")
    convert(answers, "label-studio", tmp_path / "tasks")
    interface = sdk.LabelInterface((tmp_path / "tasks" / "config.xml").read_text())
    interface.validate()
    tasks = json.loads((tmp_path / "tasks" / "tasks.json").read_text())
    assert [task["data"]["path"] for task in tasks] == [WREN.path, TIT.path, "fox.jpg"]
    for task in tasks:
        assert interface.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction)
            wrong = json.loads(json.dumps(prediction))
            wrong["result"][0]["value"]["choices"] = ["Dodo"]
            assert not interface.validate_prediction(wrong)
