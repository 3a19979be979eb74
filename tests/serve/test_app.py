"""Every address: what it answers, what it refuses, and what stands in the headers."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin

import jsonschema
import pytest
from openapi_spec_validator import validate
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from serving import make_site, png, seen
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wingbar.serve.app import create_app, document
from wingbar.serve.body import RequestLimits
from wingbar.serve.examples import PER_CLASS, ExamplePictures, find_examples

OCTETS = {"content-type": "application/octet-stream"}
SMALL = RequestLimits(size=4000, pixels=10_000, seconds=5.0)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(create_app(make_site(limits=SMALL))) as one:
        yield one


def valid(name: str, value: object) -> None:
    components = document()["components"]
    jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": components}).validate(value)


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "IMAGE/x-whatever; q=1"])
def test_a_raw_picture_is_named(client: TestClient, kind: str) -> None:
    answer = client.post("/api/predict", content=png(), headers={"content-type": kind})
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    result = answer.json()
    valid("Prediction", result)
    assert result["label"] == "wren" and result["size"] == [60, 40] and result["object_box"] == [6, 4, 54, 36]
    assert "path" not in result and [len(row) for row in result["map"]] == [4, 4, 4]


def test_a_form_is_read_as_well(client: TestClient) -> None:
    raw = client.post("/api/predict", content=png(), headers=OCTETS)
    form = client.post("/api/predict", files={"picture": ("../../etc/passwd", png(), "text/html")}, data={"a": "b"})
    assert form.status_code == 200 and form.json() == raw.json()


def test_the_classes_told_can_be_chosen(client: TestClient) -> None:
    answer = client.post("/api/predict?top=1", content=png(), headers=OCTETS).json()
    assert list(answer["scores"]) == ["wren"] and list(answer["parts"][1]["scores"]) == ["wren"]


@pytest.mark.parametrize("top", ["0", "101", "-1", "x", "", "9" * 5000, "²"])
def test_an_impossible_number_of_classes_is_refused(client: TestClient, top: str) -> None:
    answer = client.post("/api/predict", params={"top": top}, content=png(), headers=OCTETS)
    assert answer.status_code == 400 and "1 to 100" in answer.json()["error"]


JPEG_CUT = png(kind="JPEG")[:-200]


@pytest.mark.parametrize(
    ("content", "kind", "status", "sentence"),
    [
        (b"no picture", "image/jpeg", 400, "not a picture of a known format"),
        (b"", "image/jpeg", 400, "an empty file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 400, "not a picture of a known format"),
        (JPEG_CUT, "image/jpeg", 400, "cut short"),
        (b"\x00" * 4001, "image/jpeg", 413, "larger than 0.0038147 MiB"),
        (png((200, 51)), "image/png", 413, "200 x 51 pixels"),
        (b"P5 60000 60000 255\n", "image/x-portable-graymap", 413, "far too many pixels"),
        (png(), "text/plain", 415, "image/..."),
        (png(), "", 415, "image/..."),
        (b"x", "multipart/form-data", 400, "boundary"),
        (b"x", "multipart/form-data; boundary=b", 400, "form"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_sentence(
    client: TestClient, content: bytes, kind: str, status: int, sentence: str
) -> None:
    answer = client.post("/api/predict", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    valid("Error", answer.json())
    assert sentence in answer.json()["error"] and "<bytes>" not in answer.json()["error"]


@pytest.mark.parametrize(
    "form",
    [
        {"data": {"picture": "text"}, "files": {"other": png()}},
        {"files": {"image": png()}},
        {"files": [("picture", png()), ("picture", png())]},
        {"files": {"picture": png()}, "data": {str(i): "x" for i in range(9)}},
    ],
)
def test_a_form_without_one_picture_is_refused(client: TestClient, form: dict) -> None:
    answer = client.post("/api/predict", **form)
    assert answer.status_code == 400 and "form" in answer.json()["error"]


def test_a_form_over_the_limit_is_cut_off(client: TestClient) -> None:
    answer = client.post("/api/predict", files={"picture": b"\x00" * 4001})
    assert answer.status_code == 413


def test_no_picture_touches_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    rolled = []
    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", lambda self: rolled.append(self))
    content = png((900, 900), "BMP")
    with TestClient(create_app(make_site())) as client:
        assert len(content) > 2 << 20
        assert client.post("/api/predict", files={"picture": content}).status_code == 200
    assert rolled == []


def test_classes_and_limits_are_told(client: TestClient) -> None:
    answer = client.get("/api/classes").json()
    valid("Classes", answer)
    assert [one["name"] for one in answer["classes"]] == ["wren", "robin", "owl"]
    assert answer["guide"] is None and answer["limits"] == {"bytes": 4000, "pixels": 10_000}


def test_the_description_is_valid_and_complete(client: TestClient) -> None:
    answer = client.get("/openapi.json").json()
    validate(answer)
    assert set(answer["paths"]) == {
        "/api/predict", "/api/classes", "/examples/{label}/{number}", "/healthz", "/metrics",
    }  # fmt: skip
    for path, operations in answer["paths"].items():
        for method in operations:
            plain = re.sub(r"{.*?}", "0", path)
            assert client.request(method, plain).status_code != 405


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200), ("HEAD", "/", 200), ("GET", "/page/app.js", 200), ("GET", "/page/app.css", 200),
        ("GET", "/page/icon.svg", 200), ("GET", "/healthz", 200), ("GET", "/metrics", 200), ("GET", "/nothing", 404),
        ("GET", "/page/", 404), ("GET", "/page", 404), ("GET", "/guide/", 404), ("GET", "/examples/0/0", 404),
        ("GET", "/page/../app.py", 404), ("GET", "/page/%2e%2e/app.py", 404), ("GET", "/page/..%2fapp.py", 404),
        ("GET", "/page//etc/passwd", 404), ("GET", "/page/%00", 404), ("GET", "/examples/-1/0", 404),
        ("GET", "/examples/0/x", 404), ("GET", "/api/predict", 405), ("POST", "/", 405),
        ("DELETE", "/api/classes", 405), ("OPTIONS", "/api/predict", 405), ("GET", "/favicon.ico", 200),
    ],
)  # fmt: skip
def test_every_answer_has_safe_headers(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY" and answer.headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in answer.headers and "server" not in answer.headers
    if status >= 400:
        valid("Error", answer.json())


def test_the_page_has_nothing_inline_and_nothing_foreign(client: TestClient) -> None:
    page = client.get("/").text
    assert not re.search(r"<script(?![^>]*\bsrc=\"page/)|<style|\bstyle=|\bon\w+=|https?:", page)
    script = client.get("/page/app.js").text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(", script)


def test_the_page_works_under_a_path_of_its_own(tmp_path: Path) -> None:
    """Behind a front that serves it at /birds/: no address begins at the front's root, and each leads somewhere."""
    (tmp_path / "classes").mkdir()
    for name in ("index.html", "classes/0001.html"):
        (tmp_path / name).write_text("<title>guide</title>")
    app = create_app(make_site(guide=tmp_path))

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith("/birds/"), scope["path"]
            scope = scope | {"path": scope["path"].removeprefix("/birds"), "raw_path": None}
        await app(scope, receive, send)

    with TestClient(front, base_url="http://testserver/birds/") as client:
        page, script = client.get("").text, client.get("page/app.js").text
        addresses = re.findall(r'(?:src|href)="([^"#]+)"', page) + re.findall(r'fetch\("(api/classes)"', script)
        assert {"page/app.js", "page/app.css", "guide/", "api/classes"} <= set(addresses)
        classes = client.get("api/classes").json()
        for address in (*addresses, classes["guide"], classes["classes"][0]["guide"]):
            assert client.get(urljoin("http://testserver/birds/", address)).status_code == 200, address
        assert client.get("guide").url.path == "/birds/guide/"
    assert re.findall(r'(?:fetch\(|src: |href: )["`](/[^"`]*)', script) == []


def test_a_picture_that_predict_reads_is_not_refused_by_its_size() -> None:
    width, height = 12_000, 9_000  # 108 million pixels, as phones make them
    with TestClient(create_app(make_site())) as client:
        content = b"P4 %d %d\n" % (width, height)  # the header alone is looked at before the picture is taken
        answer = client.post("/api/predict", content=content, headers=OCTETS)
        assert answer.status_code == 400 and "cut short" in answer.json()["error"]
        answer = client.post("/api/predict", content=b"P4 %d %d\n" % (width, 10_001), headers=OCTETS)
        assert answer.status_code == 413 and "--max-megapixels" in answer.json()["error"]


def test_a_fault_of_ours_is_told_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    def work(pictures: list[bytes]) -> list:
        raise RuntimeError("secret")

    with TestClient(create_app(make_site(work=work)), raise_server_exceptions=False) as client:
        answer = client.post("/api/predict", content=png(), headers=OCTETS)
        assert answer.status_code == 500 and "secret" not in answer.text
        valid("Error", answer.json())
        assert answer.headers["x-frame-options"] == "DENY"
        assert client.get("/healthz").json() == {"status": "ok"}


def test_metrics_are_in_the_text_format_and_count_by_handler() -> None:
    with TestClient(create_app(make_site(limits=SMALL))) as client:
        client.post("/api/predict", content=png(), headers=OCTETS)
        client.post("/api/predict", content=b"x", headers=OCTETS)
        client.get("/a-made-up-path")
        client.request("MADEUP", "/another")
        families = {f.name: f for f in text_string_to_metric_families(client.get("/metrics").text)}
    counted = {tuple(s.labels.values()): s.value for s in families["wingbar_requests"].samples}
    assert counted[("predict", "POST", "200")] == 1 and counted[("predict", "POST", "400")] == 1
    assert counted[("none", "GET", "404")] == 1 and counted[("none", "other", "404")] == 1
    assert {s.value for s in families["wingbar_batch_pictures"].samples if s.name.endswith("_count")} == {1}
    assert families["wingbar_places_taken"].samples[0].value == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("LOCALHOST", 200),
     ("evil.example", 421), ("localhost.evil.example", 421), ("", 421), ("[", 421)],
)  # fmt: skip
def test_a_local_server_goes_by_local_names_alone(host: str, status: int) -> None:
    with TestClient(create_app(make_site(), ("localhost", "127.0.0.1", "::1"))) as client:
        answer = client.get("/healthz", headers={"host": host})
    assert answer.status_code == status and answer.headers["x-frame-options"] == "DENY"
    if host == "evil.example":
        assert answer.json()["error"].endswith("If it should, start it with: --host-name evil.example")


def test_the_guide_is_served_from_its_folder_alone(tmp_path: Path) -> None:
    folder = tmp_path / "guide"
    (folder / "classes").mkdir(parents=True)
    (folder / "index.html").write_text("<title>guide</title>")
    (folder / "classes" / "a.html").write_text("a")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with TestClient(create_app(make_site(guide=folder))) as client:
        classes = client.get("/api/classes").json()
        assert classes["guide"] == "guide/" and classes["classes"][0]["guide"].startswith("guide/classes/")
        assert client.get("/guide", follow_redirects=False).headers["location"] == "guide/"
        assert "guide" in client.get("/guide/").text and client.get("/guide/classes/a.html").text == "a"
        assert client.get("/guide/").headers["content-security-policy"]
        for path in ("classes/", "../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "link.txt"):
            assert client.get(f"/guide/{path}").status_code == 404


def test_examples_are_small_copies_without_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    Image.new("RGB", (900, 600), "teal").save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "damaged.jpg").write_bytes(b"no picture any more")
    examples = ExamplePictures([[], [tmp_path / "a.jpg", tmp_path / "damaged.jpg"], []])
    with TestClient(create_app(make_site(examples=examples))) as client:
        assert [one["examples"] for one in client.get("/api/classes").json()["classes"]] == [0, 2, 0]
        answer = client.get("/examples/1/0")
        assert answer.headers["content-type"] == "image/jpeg" and b"where I live" not in answer.content
        assert Image.open(BytesIO(answer.content)).size == (360, 240)
        for path in ("1/1", "1/2", "0/0", "3/0", "99999999999999999999999/0"):
            assert client.get(f"/examples/{path}").status_code == 404


def test_examples_are_training_pictures_of_the_class_by_its_name(birds: Path) -> None:
    from wingbar.data import load

    dataset = load(birds)
    turned = list(reversed(dataset.classes))
    examples = find_examples(turned, birds)
    assert examples.counts == (PER_CLASS,) * 3
    training = {s.path: dataset.classes[s.label] for s in dataset.split("train")}
    for label, name in enumerate(turned):
        assert {training[path] for path in examples._paths[label]} == {name}


# ---- those who wait and those who leave: the application called as a server calls it -----------------------------


async def call(app: ASGIApp, pieces: list[Message], then: asyncio.Event | None = None) -> tuple[int, dict, bytes]:
    """POST ``pieces``; afterwards the sender leaves when ``then`` is set, or stays."""
    sent: list[Message] = []
    scope = {"type": "http", "method": "POST", "path": "/api/predict", "query_string": b"", "root_path": "",
             "headers": [(b"content-type", b"image/png"), (b"transfer-encoding", b"chunked")]}  # fmt: skip
    queue = list(pieces)

    async def receive() -> Message:
        if queue:
            await asyncio.sleep(0)
            return queue.pop(0)
        await (then or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await asyncio.wait_for(app(scope, receive, send), 20)
    headers = {key.decode().lower(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


def whole(content: bytes) -> list[Message]:
    return [{"type": "http.request", "body": content, "more_body": False}]


def test_a_full_house_says_when_to_come_again() -> None:
    entered, leave = threading.Event(), threading.Event()

    def work(pictures: list[bytes]) -> list:
        entered.set()
        assert leave.wait(20)
        return [seen(("a", "b"), picture) for picture in pictures]

    async def main() -> None:
        site = make_site(work=work, classes=("a", "b"), places=2)
        app, working = create_app(site), asyncio.create_task(site.batcher.run())
        inside = [asyncio.create_task(call(app, whole(png()))) for _ in range(2)]
        await asyncio.to_thread(entered.wait, 20)
        while site.batcher.taken < 2:
            await asyncio.sleep(0.01)
        status, headers, body = await call(app, whole(png()))
        assert status == 429 and int(headers["retry-after"]) >= 1
        assert f"again in {headers['retry-after']} s" in json.loads(body)["error"]
        leave.set()
        assert [status for status, _, _ in await asyncio.gather(*inside)] == [200, 200]
        assert (await call(app, whole(png())))[0] == 200
        site.batcher.stop()
        await working
        status, headers, body = await call(app, whole(png()))
        assert status == 503 and "shutting down" in json.loads(body)["error"] and "retry-after" in headers

    asyncio.run(main())


def test_a_picture_whose_sender_left_is_not_looked_at() -> None:
    entered, leave, looked = threading.Event(), threading.Event(), []

    def work(pictures: list[bytes]) -> list:
        looked.extend(pictures)
        entered.set()
        assert leave.wait(20)
        return [seen(("a", "b"), picture) for picture in pictures]

    async def main() -> None:
        site = make_site(work=work, classes=("a", "b"))
        app, working = create_app(site), asyncio.create_task(site.batcher.run())
        first = asyncio.create_task(call(app, whole(png(colour="red"))))
        await asyncio.to_thread(entered.wait, 20)
        goes = asyncio.Event()
        second = asyncio.create_task(call(app, whole(png(colour="blue")), goes))
        while not site.batcher._waiting:
            await asyncio.sleep(0.01)
        goes.set()
        assert (await second)[0] == 499
        leave.set()
        assert (await first)[0] == 200 and site.batcher.taken == 0
        status, _, _ = await call(app, [{"type": "http.request", "body": b"half", "more_body": True}], goes)
        assert status == 499 and site.batcher.taken == 0  # left half way
        assert "wingbar_disconnects_total 2.0" in site.metrics.text().decode()
        site.batcher.stop()
        await working

    asyncio.run(main())
    assert looked == [png(colour="red")]


def test_a_body_without_an_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbar.serve.guard.REST_BYTES", 10_000)
    monkeypatch.setattr("wingbar.serve.guard.REST_SECONDS", 0.1)
    pieces: list[Message] = [{"type": "http.request", "body": b"\x00" * 1000, "more_body": True} for _ in range(1000)]

    async def main() -> None:
        app = create_app(make_site(limits=SMALL))
        status, headers, body = await call(app, pieces)
        assert status == 413 and headers["connection"] == "close" and "larger" in json.loads(body)["error"]
        slow = RequestLimits(seconds=0.05)
        status, headers, body = await call(create_app(make_site(limits=slow)), pieces[:1])
        assert status == 408 and headers["connection"] == "close" and "did not arrive" in json.loads(body)["error"]

    asyncio.run(main())
