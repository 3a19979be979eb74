"""What a reviewer decides is kept at once, is never lost or overwritten, and trains."""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from made_up import made_up
from PIL import Image
from serving import make_site, png
from starlette.testclient import TestClient

from wingbar._system.locks import locked
from wingbar.data.layouts.table import read as read_table
from wingbar.errors import DataError, RunError
from wingbar.prediction import Prediction
from wingbar.serve.examples import spread
from wingbar.serve.review.app import create_app
from wingbar.serve.review.decisions import Decisions
from wingbar.serve.review.desk import Desk, Reference, Undecided
from wingbar.serve.review.server import PER_CLASS, reference_pictures, review, set_up

JSON = {"content-type": "application/json"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def desk(tmp_path: Path, photos: Path) -> Desk:
    recognizer = made_up(tmp_path / "model")
    labelled = [Reference(photos / "0.png", "wren"), Reference(photos / "1.png", "owl")]
    return set_up(recognizer, photos, labelled, Decisions(tmp_path / "out"), batch_size=2)


@pytest.fixture
def client(tmp_path: Path, photos: Path) -> Iterator[TestClient]:
    (tmp_path / "out").mkdir()
    with TestClient(create_app(desk(tmp_path, photos), make_site())) as one:
        yield one


def decide(client: TestClient, decision: str, label: str = "") -> dict[str, Any]:
    item = client.get("/api/state").json()["item"]
    body = {"path": item["path"], "decision": decision, "label": label}
    answer = client.post("/api/decide", json=body)
    assert answer.status_code == 200, answer.text
    return {"path": item["path"], "state": answer.json()}


def labels(tmp_path: Path) -> dict[str, str]:
    read = read_table(tmp_path / "out" / "labels.csv", tmp_path / "photos")
    return {sample.key: read.classes[sample.label] for sample in read.samples}


def test_each_decision_is_in_the_table_at_once(client: TestClient, tmp_path: Path) -> None:
    state = client.get("/api/state").json()
    assert (state["left"], state["total"], state["undo"]) == (4, 4, False)
    assert [one["label"] for one in state["item"]["alike"]] in (["wren", "owl"], ["owl", "wren"])
    first = decide(client, "label", state["item"]["label"])
    assert labels(tmp_path) == {first["path"]: state["item"]["label"]}
    second = decide(client, "label", "Golden Eagle")
    assert second["state"]["classes"] == ["wren", "robin", "owl", "Golden Eagle"]
    third = decide(client, "none")
    fourth = decide(client, "label", "golden  eagle")
    assert labels(tmp_path) == {
        first["path"]: state["item"]["label"], second["path"]: "Golden Eagle", fourth["path"]: "Golden Eagle",
    }  # fmt: skip
    done = fourth["state"]
    assert done["item"] is None and done["counts"] == {
        "confirmed": 1,
        "corrected": 0,
        "new": 2,
        "none": 1,
        "skipped": 0,
    }
    assert third["path"] not in labels(tmp_path)


def test_undo_takes_back_the_last_one_first(client: TestClient, tmp_path: Path) -> None:
    first, second = decide(client, "label", "owl"), decide(client, "skipped")
    assert second["state"]["left"] == 2
    state = client.post("/api/undo", json={}).json()
    assert state["item"]["path"] == second["path"] and state["left"] == 3
    state = client.post("/api/undo", json={}).json()
    assert state["item"]["path"] == first["path"] and not state["undo"]
    assert (tmp_path / "out" / "labels.csv").read_text(encoding="utf-8-sig").split() == ["path,label"]
    assert client.post("/api/undo", json={}).json()["left"] == 4


def test_a_review_goes_on_where_it_was_left(client: TestClient, tmp_path: Path, photos: Path) -> None:
    named, skipped = decide(client, "label", "owl"), decide(client, "skipped")
    again = desk(tmp_path, photos)
    assert {item.name for item in again.items} == {f"{n}.png" for n in range(4)} - {named["path"]}
    assert skipped["path"] in {item.name for item in again.items}
    assert not again.state()["undo"]  # what was decided before stays
    again.undo()
    assert labels(tmp_path) == {named["path"]: "owl"}


@pytest.mark.parametrize("file", ["decisions.json", "labels.csv"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_review_that_is_killed_loses_nothing(tmp_path: Path, monkeypatch, file: str, moment: str) -> None:
    """Killed before or after either file is in its place: the last decision is there or not, the others are."""
    folder = tmp_path / "out"
    folder.mkdir()
    Decisions(folder).decide("a.jpg", "confirmed", "wren")
    replace = Path.replace

    def end(self: Path, target: Path) -> None:
        if target.name == file and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(self, target)
        if target.name == file:
            os.kill(os.getpid(), signal.SIGKILL)

    decisions = Decisions(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons dislike forks beside threads
        child = os.fork()
    if child == 0:
        try:
            monkeypatch.setattr(Path, "replace", end)
            decisions.decide("b.jpg", "corrected", "owl")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    after = Decisions(folder)
    there = {"a.jpg": "confirmed"} | ({} if (file, moment) == ("decisions.json", "before") else {"b.jpg": "corrected"})
    assert {one["path"]: one["kind"] for one in after.made} == there
    assert after.labels.read_text(encoding="utf-8-sig").count("jpg") == len(there)


def test_a_page_from_before_decides_about_the_picture_that_it_shows(client: TestClient, photos: Path) -> None:
    """The order is another one at each start: addresses and numbers of pictures then belong to others."""
    shown = client.get("/api/state").json()["item"]["path"]
    (photos / shown).rename(photos / "gone.png")
    again = desk(photos.parent, photos)
    with TestClient(create_app(again, make_site())) as other:
        answer = other.post("/api/decide", json={"path": shown, "decision": "none"})
        assert answer.status_code == 409 and other.get("/api/state").json()["left"] == 4
        assert other.get("/pictures/0").headers["cache-control"] == "no-store"


def test_a_full_disk_is_told_and_nothing_is_decided(client: TestClient, monkeypatch) -> None:
    item = client.get("/api/state").json()["item"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("wingbar._system.files.os.fsync", full)
        answer = client.post("/api/decide", json={"path": item["path"], "decision": "none"})
    assert answer.status_code == 507 and "make room" in answer.json()["error"]
    assert client.get("/api/state").json()["item"] == item


def test_a_table_of_the_users_own_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\na.jpg,wren\n")
    with pytest.raises(RunError, match=r"labels.csv is there already.*Choose another --out"):
        Decisions(tmp_path)
    assert (tmp_path / "labels.csv").read_text() == "path,label\na.jpg,wren\n"


def test_a_class_of_any_name_can_be_confirmed(tmp_path: Path) -> None:
    odd = "x" * 300 + " \u202e "
    item = Undecided("a.jpg", tmp_path / "a.jpg", Prediction("a.jpg", (9, 9), {odd: 1.0}), ())
    one = Desk([item], [], [odd, "owl"], Decisions(tmp_path))
    one.decide("a.jpg", "label", odd)
    assert one.decisions.made == [{"path": "a.jpg", "kind": "confirmed", "label": odd}]


def test_a_decided_picture_is_not_decided_again(client: TestClient, tmp_path: Path) -> None:
    first = decide(client, "label", "owl")
    answer = client.post("/api/decide", json={"path": first["path"], "decision": "label", "label": "wren"})
    assert answer.status_code == 409 and "decided already" in answer.json()["error"]
    assert labels(tmp_path) == {first["path"]: "owl"}


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ('{"path": "0.png", "decision": "label", "label": "owl"}', "text/plain", 415),
        ('{"path": "0.png", "decision": "label", "label": "owl"}', "application/x-www-form-urlencoded", 415),
        ("[]", "application/json", 400),
        ("{", "application/json", 400),
        ("[" * 4000, "application/json", 400),
        ("x" * 20000, "application/json", 413),
        ('{"path": 0, "decision": "none"}', "application/json", 400),
        ('{"path": "0.png", "decision": 7}', "application/json", 400),
        ('{"path": "99.png", "decision": "none"}', "application/json", 409),
        ('{"path": "broken.png", "decision": "none"}', "application/json", 409),
        ('{"path": "0.png", "decision": "confirmed"}', "application/json", 409),
        ('{"path": "0.png", "decision": "label", "label": " "}', "application/json", 409),
        ('{"path": "0.png", "decision": "label", "label": "a\\u202eb"}', "application/json", 409),
        (json.dumps({"path": "0.png", "decision": "label", "label": "x" * 201}), "application/json", 409),
    ],
)
def test_nothing_is_kept_of_what_no_reviewer_sends(client: TestClient, content: str, kind: str, status: int) -> None:
    """A page from elsewhere can make a browser send forms and plain text here, but no JSON."""
    answer = client.post("/api/decide", content=content, headers={"content-type": kind})
    assert answer.status_code == status and answer.json()["error"]
    assert client.get("/api/state").json()["left"] == 4


def test_pictures_are_shown_without_their_notes(client: TestClient, photos: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where it nests"
    for path in photos.glob("[0-9].png"):
        Image.open(path).save(path, exif=exif)
    for address in ("/pictures/0", "/labelled/1"):
        answer = client.get(address)
        assert answer.headers["content-type"] == "image/jpeg" and not Image.open(BytesIO(answer.content)).getexif()
    for address in ("/pictures/99", "/labelled/99", "/page/%2e%2e/server.py", "/page/..%2fserver.py", "/pictures/-1"):
        assert client.get(address).status_code == 404
    page = client.get("/")
    assert page.status_code == 200 and "script-src 'self'" in page.headers["content-security-policy"]
    assert {client.get(f"/{name}").status_code for name in ("style.css", "icon.svg", "page/review.js", "healthz")} == {
        200
    }


def test_the_field_guide_is_linked_where_there_is_one(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/api/state").json()["guide"] is False and client.get("/guide/").status_code == 404
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "index.html").write_text("the guide")
    none = Desk([], [], ["wren"], Decisions(tmp_path / "out"))
    with TestClient(create_app(none, make_site(guide=tmp_path / "guide"))) as other:
        assert other.get("/api/state").json()["guide"] is True and other.get("/guide/").text == "the guide"


def test_the_page_that_names_a_picture_is_a_part_of_the_review(client: TestClient) -> None:
    assert 'href="name/"' in client.get("/").text
    classes = client.get("/name/api/classes").json()
    assert urljoin("http://testserver/name/", classes["review"]) == "http://testserver/"
    answer = client.post("/name/api/predict", content=png(), headers={"content-type": "image/png"})
    assert answer.status_code == 200 and list(answer.json()["scores"]) == ["wren", "robin", "owl"]
    assert client.post("/name/api/predict", content=b"no picture").status_code == 415
    for name in ("name/", "name/page/app.js", "name/page/app.css", "name/healthz"):
        answer = client.get(f"/{name}")
        assert answer.status_code == 200 and "script-src 'self'" in answer.headers["content-security-policy"]


def test_other_names_of_the_server_are_refused(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "out").mkdir()
    with TestClient(
        create_app(desk(tmp_path, photos), make_site(), ("localhost",)), base_url="http://evil.example"
    ) as client:
        assert client.get("/api/state").status_code == 421


def test_what_cannot_be_reviewed_is_told(tmp_path: Path, small_run: Path, birds: Path) -> None:
    out = tmp_path / "out"
    with locked(out), pytest.raises(RunError, match="in use by"):
        review(small_run, birds, out, port=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no folder with pictures"):
        review(small_run, tmp_path / "empty", out, port=0)
    for content in ("{", '{"made": 7}', '{"made": [{"path": "a", "kind": "b", "label": ""}]}'):
        (out / "decisions.json").write_text(content)
        with pytest.raises(RunError, match="damaged"):
            Decisions(out)


def test_look_alikes_are_spread_over_a_class() -> None:
    paths = [Path(str(number)) for number in range(47)]
    assert spread(paths[:3], 24) == paths[:3] and spread([], 24) == []
    some = spread(paths, PER_CLASS)
    assert len(some) == PER_CLASS and some[:: PER_CLASS - 1] == [paths[0], paths[-1]]


def test_look_alikes_are_training_pictures_of_the_run(small_run: Path, birds: Path, tmp_path: Path) -> None:
    import wingbar

    recognizer = wingbar.load(small_run)
    labelled = reference_pictures(small_run, recognizer, None, None)
    assert {one.label for one in labelled} == set(recognizer.classes)
    assert reference_pictures(small_run / "model", recognizer, None, None) == []
    root = replace(recognizer.card.data, images_root=str(tmp_path))  # of the run's own table, not of another
    recognizer.card = replace(recognizer.card, data=root)
    assert reference_pictures(small_run, recognizer, birds, None) == labelled
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "same.jpg").write_bytes(labelled[3].path.read_bytes())
    (tmp_path / "out").mkdir()
    [item] = set_up(recognizer, tmp_path / "photos", labelled, Decisions(tmp_path / "out"), 4).items
    assert item.alike[0] == 3  # a copy of a labelled picture looks most like that one
