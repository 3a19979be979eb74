"""Answers go to other programs and say the same there. Oracles: pycocotools, the reader of tables, each standard."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from answered import BROKEN, HELD_OUT, PARTS, SCORES, TIT, WREN, keep
from PIL import Image

from wingbar.bulk.answers import encode
from wingbar.cli import main
from wingbar.data.layouts.table import read as read_table
from wingbar.errors import ConfigError, DataError, RunError
from wingbar.exchange.convert import convert
from wingbar.prediction import Prediction


def table(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_bytes().decode("utf-8-sig"), newline="")))


def test_a_table_opens_in_a_spreadsheet_and_trains(answers: Path, pictures: Path, tmp_path: Path) -> None:
    done = convert(answers, "csv", pictures / "labels.csv")
    assert done.count == 3 and done.left_out.lines() == ["passed over 'broken.jpg': it could not be read"]
    assert (pictures / "labels.csv").read_bytes().startswith(b"\xef\xbb\xbfpath,label,")
    first, _, fox = table(pictures / "labels.csv")
    assert (first["label"], first["score"], first["x2"], first["stranger"]) == (
        "Cyanistes_caeruleus",
        "0.75",
        "72",
        "False",
    )
    assert (fox["known"], fox["stranger"]) == ("0.1", "True")
    read = read_table(pictures / "labels.csv")
    assert [(sample.key, read.classes[sample.label]) for sample in read.samples] == [
        ("site/wren.jpg", "Cyanistes_caeruleus"), ("tit.webp", "Parus_major"), ("fox.jpg", "Cyanistes_caeruleus"),
    ]  # fmt: skip


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_no_cell_is_a_formula(tmp_path: Path, evil: str) -> None:
    other = {evil: 0.9, "b": 0.1}
    wrong = Prediction(f"{evil}.jpg", (80, 60), other, (8, 6, 72, 54), (), {"picture": other}, held_out=HELD_OUT)
    kept = keep(tmp_path / "answers", wrong)
    for target in ("csv", "darwin-core"):
        convert(kept, target, tmp_path / f"{target}.csv")  # type: ignore[arg-type] # either
        [row] = table(tmp_path / f"{target}.csv")
        assert [cell for cell in row.values() if re.match(r"[=+\-@\t\r \uff1d]", cell)] == []


def test_boxes_are_read_by_cocos_own_tools(answers: Path, tmp_path: Path) -> None:
    """Judged as detections against themselves, boxes that are read as they are have a precision of one."""
    read = pytest.importorskip("pycocotools.coco", reason="pycocotools is missing: pip install '.[test]' brings it")
    from pycocotools.cocoeval import COCOeval

    convert(answers, "coco", tmp_path / "coco.json")
    truth = read.COCO(str(tmp_path / "coco.json"))
    assert {one["name"]: one["supercategory"] for one in truth.loadCats(truth.getCatIds())} == {
        "Cyanistes_caeruleus": "object", "Parus_major": "object", "part 1": "part", "part 2": "part",
    }  # fmt: skip
    [wren] = [one for one in truth.loadImgs(truth.getImgIds()) if one["file_name"] == "site/wren.jpg"]
    boxes = truth.loadAnns(truth.getAnnIds(imgIds=[wren["id"]]))
    assert [one["bbox"] for one in boxes] == [[8, 6, 64, 48], [10, 10, 10, 20], [30, 20, 30, 20]]
    judge = COCOeval(truth, truth.loadRes(truth.loadAnns(truth.getAnnIds())), "bbox")
    judge.evaluate(), judge.accumulate(), judge.summarize()
    assert judge.stats[0] == pytest.approx(1)


def test_coco_numbers_everything_once(answers: Path, tmp_path: Path) -> None:
    convert(answers, "coco", tmp_path / "coco.json", min_score=0.7)
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["site/wren.jpg"]
    assert [one["id"] for one in coco["annotations"]] == [1, 2, 3] == [one["id"] for one in coco["categories"]]


def test_boxes_are_lines_of_yolo(answers: Path, pictures: Path, tmp_path: Path) -> None:
    """By the documented form of a line, read back into pixels; a strange picture has no file."""
    assert convert(answers, "yolo", tmp_path / "yolo", pictures=pictures).count == 2
    names = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text())["names"]
    assert names == {0: "Cyanistes_caeruleus", 1: "Parus_major", 2: "part 1", 3: "part 2"}
    assert sorted(path.name for path in (tmp_path / "yolo" / "labels").rglob("*.txt")) == ["tit.txt", "wren.txt"]
    collected = []
    for line in (tmp_path / "yolo" / "labels" / "site" / "wren.txt").read_text().splitlines():
        category, *shares = line.split()
        x, y, width, height = np.array(shares, float) * (80, 60, 80, 60)
        box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        collected.append((names[int(category)], tuple(box.round(3).tolist())))
    assert collected == [("Cyanistes_caeruleus", WREN.object_box), ("part 1", PARTS[0].box), ("part 2", PARTS[1].box)]
    # Ultralytics resolves the folder, then takes the last folder "images" of each picture's path for "labels".
    assert set(yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text())) == {"train", "val", "names"}
    images = (tmp_path / "yolo" / "images").resolve()
    collected = [Path("labels".join(str(path).rsplit("images", 1))).with_suffix(".txt") for path in images.rglob("*.*")]
    assert (
        len(collected) == 2
        and all(path.is_file() for path in collected)
        and all(map(Path.is_file, images.rglob("*.*")))
    )
    with pytest.raises(DataError, match="a folder 'images'"):
        convert(keep(tmp_path / "inner", replace(TIT, path="images/tit.jpg")), "yolo", tmp_path / "inner-out")
    with pytest.raises(DataError, match="would have one file"):
        convert(keep(tmp_path / "twins", TIT, replace(TIT, path="tit.jpg")), "yolo", tmp_path / "twins-out")


def test_names_of_any_letters_are_texts_of_yaml(tmp_path: Path) -> None:
    names = ["no", "7", "\U0001f989", "Möwe", 'a"b\\c', "a\u2028b\x85\x7f", ": {", "\u202e"]
    predictions = [
        replace(WREN, path=f"{number}.jpg", scores={name: 1.0}, parts=()) for number, name in enumerate(names)
    ]
    convert(keep(tmp_path / "answers", *predictions), "yolo", tmp_path / "yolo")
    read = yaml.safe_load((tmp_path / "yolo" / "data.yaml").read_text(encoding="utf-8"))
    assert list(read["names"].values()) == sorted(names)


def labelled(tasks: list[dict[str, Any]], choose: Callable[[dict[str, Any]], list[str]]) -> list[dict[str, Any]]:
    """What Label Studio exports once annotators have taken over predictions and chosen."""
    return [
        {
            "id": number, "data": task["data"],
            "annotations": [
                {"was_cancelled": False, "result": [
                    {**one, "value": {"choices": [chosen]}} if one["type"] == "choices" else one
                    for one in task["predictions"][0]["result"]
                ]} for chosen in choose(task)
            ],
        } for number, task in enumerate(tasks, 1)
    ]  # fmt: skip


def test_label_studio_gets_tasks_and_gives_labels(answers: Path, pictures: Path, tmp_path: Path) -> None:
    convert(answers, "label-studio", tmp_path / "tasks")
    tasks = json.loads((tmp_path / "tasks" / "tasks.json").read_text())
    interface = ElementTree.parse(tmp_path / "tasks" / "config.xml").getroot()
    controls = {one.get("name"): {inner.get("value") for inner in one} for one in interface}
    assert controls["class"] == set(SCORES) and controls["box"] == {"object", "part 1", "part 2"}
    for task in tasks:  # each answer is one that the interface knows
        assert urlsafe(task["data"]["image"]) == task["data"]["path"]
        for result in task["predictions"][0]["result"]:
            control = controls[result["from_name"]]
            assert result["to_name"] == "image" and set(result["value"][result["type"]]) <= control
    box = tasks[0]["predictions"][0]["result"][1]["value"]
    assert [box[side] for side in ("x", "y", "width", "height")] == [10, 10, 80, 80]

    def choose(task: dict[str, Any]) -> list[str]:
        return {"site/wren.jpg": ["Troglodytes"], "tit.webp": ["Parus_major"] * 2, "fox.jpg": ["a", "b"]}[
            task["data"]["path"]
        ]

    (tmp_path / "export.json").write_text(json.dumps(labelled(tasks, choose)))
    done = convert(tmp_path / "export.json", "csv", pictures / "human.csv")
    assert done.count == 2 and "disagree" in done.left_out.lines()[0]
    read = read_table(pictures / "human.csv")
    assert [(sample.key, read.classes[sample.label]) for sample in read.samples] == [
        ("site/wren.jpg", "Troglodytes"), ("tit.webp", "Parus_major"),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="--to csv"):
        convert(tmp_path / "export.json", "coco", tmp_path / "no.json")


def urlsafe(address: str) -> str:
    assert address.startswith("/data/local-files/?d=")
    return address.partition("?d=")[2]


def test_observations_of_darwin_core(answers: Path, pictures: Path, station: Path, tmp_path: Path) -> None:
    (tmp_path / "taxa.csv").write_text("label,scientificName\nCyanistes_caeruleus,Cyanistes caeruleus (L.)\n")
    convert(
        answers, "darwin-core", tmp_path / "dwc.csv", pictures=pictures, station=station, taxa=tmp_path / "taxa.csv"
    )
    wren, tit, fox = table(tmp_path / "dwc.csv")
    assert (wren["scientificName"], tit["scientificName"], fox["scientificName"]) == (
        "Cyanistes caeruleus (L.)", "Parus major", ""
    )  # fmt: skip
    assert (wren["eventDate"], fox["eventDate"]) == ("2024-05-01T06:07:08+01:00", "")
    assert (wren["decimalLatitude"], wren["decimalLongitude"], wren["basisOfRecord"]) == (
        "52.5", "-13.25", "MachineObservation"
    )  # fmt: skip
    assert (
        wren["identificationVerificationStatus"] == "unverified"
        and "none of the classes" in fox["identificationRemarks"]
    )
    more = json.loads(wren["dynamicProperties"])
    assert (more["known"], more["scores"], more["candidates"]) == (0.9, SCORES, list(WREN.candidates()))
    assert len({row["occurrenceID"] for row in (wren, tit, fox)}) == 3


# The first lines of the standard's own example, version 1.0.
HEADERS = {
    "deployments": "deploymentID,locationID,locationName,latitude,longitude,coordinateUncertainty,deploymentStart,"
    "deploymentEnd,setupBy,cameraID,cameraModel,cameraDelay,cameraHeight,cameraDepth,cameraTilt,cameraHeading,"
    "detectionDistance,timestampIssues,baitUse,featureType,habitat,deploymentGroups,deploymentTags,deploymentComments",
    "media": "mediaID,deploymentID,captureMethod,timestamp,filePath,filePublic,fileName,fileMediatype,exifData,"
    "favorite,mediaComments",
    "observations": "observationID,deploymentID,mediaID,eventID,eventStart,eventEnd,observationLevel,observationType,"
    "cameraSetupType,scientificName,count,lifeStage,sex,behavior,individualID,individualPositionRadius,"
    "individualPositionAngle,individualSpeed,bboxX,bboxY,bboxWidth,bboxHeight,classificationMethod,classifiedBy,"
    "classificationTimestamp,classificationProbability,observationTags,observationComments",
}
REQUIRED = {
    "deployments": "deploymentID latitude longitude deploymentStart deploymentEnd",
    "media": "mediaID deploymentID timestamp filePath filePublic fileMediatype",
    "observations": "observationID deploymentID eventStart eventEnd observationLevel observationType",
}


def test_a_camera_trap_package_keeps_the_standards_rules(
    answers: Path, pictures: Path, station: Path, tmp_path: Path
) -> None:
    out = tmp_path / "package"
    done = convert(answers, "camtrap-dp", out, pictures=pictures, station=station)
    assert done.count == 2 and "does not say when" in done.left_out.lines()[-1]
    package = json.loads((out / "datapackage.json").read_text())
    assert {*package} >= {
        "resources",
        "profile",
        "created",
        "contributors",
        "project",
        "spatial",
        "temporal",
        "taxonomic",
    }
    assert {*package["project"]} >= {
        "title",
        "samplingDesign",
        "captureMethod",
        "individualAnimals",
        "observationLevel",
    }
    assert package["temporal"] == {"start": "2024-05-01", "end": "2024-05-02"}
    tables = {one["name"]: table(out / one["path"]) for one in package["resources"]}
    for name, rows in tables.items():
        assert (out / f"{name}.csv").read_text().splitlines()[0] == HEADERS[name]
        assert rows and all(row[column] for row in rows for column in REQUIRED[name].split())
    stamps = [
        row[column] for rows in tables.values() for row in rows for column in row if re.search("tart|End|stamp", column)
    ]
    assert all(datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S%z") for stamp in stamps if stamp not in ("", "false"))
    media, observations = tables["media"], tables["observations"]
    assert {row["deploymentID"] for row in [*media, *observations]} == {tables["deployments"][0]["deploymentID"]}
    assert [row["mediaID"] for row in observations] == [row["mediaID"] for row in media]
    assert all(re.fullmatch(r"(?=^[^./~])(^((?!\.{2}).)*$).*", row["filePath"]) for row in media)
    assert [row["fileMediatype"] for row in media] == ["image/jpeg", "image/webp"]
    assert [observations[0][f"bbox{side}"] for side in ("X", "Y", "Width", "Height")] == ["0.1", "0.1", "0.8", "0.8"]
    assert {one["scientificName"] for one in package["taxonomic"]} == {row["scientificName"] for row in observations}
    assert "known:0.9" in observations[0]["observationTags"]


def test_no_cell_of_a_package_is_a_formula_and_odd_paths_are_left_out(station: Path, tmp_path: Path) -> None:
    paths = ("site/=1.jpg", "a..b.jpg", "~a.jpg")
    for path in paths:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = "2024:05:01 06:07:08"
        (tmp_path / "odd" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 60)).save(tmp_path / "odd" / path, exif=exif)
    kept = keep(tmp_path / "odd-answers", *(replace(WREN, path=path) for path in paths))
    done = convert(kept, "camtrap-dp", tmp_path / "package", pictures=tmp_path / "odd", station=station)
    assert done.count == 1 and "takes no such path" in done.left_out.lines()[-1]
    [medium] = table(tmp_path / "package" / "media.csv")
    assert (medium["filePath"], medium["fileName"]) == ("site/=1.jpg", "")


def test_nothing_is_left_of_a_folder_that_cannot_be_written(answers: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(RunError, match="No space left on device"):
            convert(answers, "yolo", tmp_path / "yolo")
    assert not (tmp_path / "yolo").exists() and convert(answers, "yolo", tmp_path / "yolo").count == 2


def test_a_damaged_file_of_answers_is_told(tmp_path: Path) -> None:
    content = encode([WREN.to_dict()] * 50, "parquet")
    (tmp_path / "answers.parquet").write_bytes(content[:-400] + b"\xff" * 392 + content[-8:])
    with pytest.raises(DataError, match="no file of answers"):
        convert(tmp_path / "answers.parquet", "csv", tmp_path / "out.csv")


def test_what_cannot_be_converted_is_told(answers: Path, station: Path, tmp_path: Path) -> None:
    out, there = tmp_path / "out", tmp_path / "there"
    there.write_text("mine")
    for wrong, message in [
        ({"out": there}, "nothing is overwritten"),
        ({"min_score": 1.5}, "between 0 and 1"),
        ({"source": tmp_path / "none"}, "no such file"),
        ({"source": tmp_path}, "no answers in it"),
        ({"source": there}, "no file of answers"),
        ({"pictures": there}, "is no folder"),
        ({"min_score": 0.99}, "no answer is left"),
        ({"to": "camtrap-dp"}, "lacks id, latitude"),
        ({"to": "camtrap-dp", "station": station}, "--pictures"),
        ({"station": there}, "not a TOML file"),
    ]:
        with pytest.raises((ConfigError, DataError), match=message):
            convert(**{"source": answers, "to": "csv", "out": out, **wrong})  # type: ignore[arg-type] # as above
        assert not out.exists() and there.read_text() == "mine"
    for text, message in [
        ("latitude = 91", "between"),
        ("utc_offset = 'CET'", "write it like"),
        ("latitud = 1", "Did you mean"),
    ]:
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            convert(answers, "darwin-core", out, station=tmp_path / "bad.toml")


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../x.jpg"}, {"path": "a\0.jpg"}, {"path": "\ud800.jpg"},
        {"label": ""}, {"score": 2}, {"score": "high"}, {"size": [0, 9]},
        {"object_box": [9, 9, 1, 1]}, {"object_box": [0, 0, 999, 9]}, {"parts": [{"name": "1"}]}, {"scores": []},
        {"known": -1}, {"candidates": 7},
    ],
    ids=str,
)  # fmt: skip
def test_rows_that_are_none_of_ours_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "answers.jsonl").write_text(json.dumps({**WREN.to_dict(), **change}) + "\n")
    with pytest.raises(DataError, match=r"answers.jsonl', answer 1: no answer of Wingbar's"):
        convert(tmp_path / "answers.jsonl", "yolo", tmp_path / "out")


def test_the_later_of_two_answers_counts_and_parquet_says_the_same(tmp_path: Path) -> None:
    unread = replace(BROKEN, path=TIT.path)
    predictions = [unread, WREN, TIT, replace(TIT, path=WREN.path), BROKEN]
    for form in ("jsonl", "parquet"):
        rows = [one.to_dict() for one in predictions]
        (tmp_path / f"answers.{form}").write_bytes(encode(rows, form))  # type: ignore[arg-type] # either
        done = convert(tmp_path / f"answers.{form}", "csv", tmp_path / f"{form}.csv")
        assert done.count == 2 and done.left_out.lines() == ["passed over 'broken.jpg': it could not be read"]
    assert (tmp_path / "jsonl.csv").read_bytes() == (tmp_path / "parquet.csv").read_bytes()
    assert {row["path"]: row["label"] for row in table(tmp_path / "jsonl.csv")}[str(WREN.path)] == "Parus_major"


def test_the_command_says_what_it_left_out(answers: Path, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(answers), "--to", "coco", "--out", str(tmp_path / "coco.json")])
    err = capsys.readouterr().err
    assert (
        ended.value.code == 0 and "left out 'fox.jpg': it seems to show none" in err and "coco.json: 2 pictures" in err
    )
