"""The server on a real socket: rude senders, the command line, starting and stopping."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from serving import make_site, png, seen, served

from wingbar.cli import main
from wingbar.data import load as load_data
from wingbar.errors import ConfigError, DataError
from wingbar.recognizer import load
from wingbar.serve.body import RequestLimits
from wingbar.serve.server import find, is_local, listen

METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
POST = b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


def wingbar(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


def talk(address: str, *pieces: bytes, then: Iterable[bytes] = ()) -> bytes:
    """Everything a connection hears until it is closed; what is not taken any more is not asked of ``then``."""
    where = urlsplit(address)
    heard = b""
    with socket.create_connection((where.hostname, where.port), timeout=60) as wire:
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in chain(pieces, then):
                wire.sendall(piece)
        with suppress(ConnectionResetError):
            while piece := wire.recv(65536):
                heard += piece
    return heard


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def test_a_chunked_picture_without_a_length_is_named() -> None:
    head = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    with served(make_site()) as address:
        answer = talk(address, head, chunk(png()[:50]), chunk(png()[50:]), b"0\r\n\r\n")
    assert status(answer) == 200 and json.loads(answer.split(b"\r\n\r\n")[1])["label"] == "wren"


def test_an_endless_body_is_answered_and_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbar.serve.guard.REST_BYTES", 1 << 20)
    form = POST.replace(b"image/png", b"multipart/form-data; boundary=b")
    field = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="x"\r\n\r\n'
    with served(make_site(limits=RequestLimits(size=1 << 20))) as address:
        for head, first in ((POST, b"\x00"), (form, field)):
            endless = repeat(chunk(b"\x00" * (1 << 16)), 1000)  # 64 MiB
            heard = talk(address, head + b"Transfer-Encoding: chunked\r\n\r\n", chunk(first), then=endless)
            assert next(endless, None) is not None  # it hung up long before the end
            assert heard == b"" or status(heard) == 413  # the answer may drown in what was still being sent


def test_a_refusal_reaches_a_sender_that_is_still_sending() -> None:
    """A browser reads no answer before its picture is sent: what is left of it is taken and dropped."""
    body = b"\x00" * (3 << 20)
    with served(make_site(limits=RequestLimits(size=1 << 20))) as address:
        wire = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        wire.request("POST", "/api/predict", body, {"Content-Type": "image/png"})
        answer = wire.getresponse()
        assert answer.status == 413 and "larger than 1 MiB" in json.loads(answer.read())["error"]
        wire.request("GET", "/healthz")  # and the connection lives on
        assert wire.getresponse().status == 200
        wire.close()


def test_a_length_that_lies_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbar.serve.guard.REST_SECONDS", 0.5)
    with served(make_site(limits=RequestLimits(seconds=1, size=1 << 20))) as address:
        assert status(talk(address, POST + b"Content-Length: 900000\r\n\r\n", png())) == 408
        assert status(talk(address, POST + b"Content-Length: 9000000000\r\n\r\n", png())) == 413
        short = talk(address, POST + b"Content-Length: 10\r\n\r\n", png())
        assert status(short) == 400 and short.count(b"HTTP/1.1 ") == 2  # the rest is no request either
        assert status(talk(address, POST + b"Content-Length: x\r\n\r\n", png())) == 400
        assert status(talk(address, POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", png())) == 400


def test_who_never_ends_the_headers_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbar.serve.server.HEAD_SECONDS", 1)
    with served(make_site()) as address:
        assert talk(address) == b""
        assert talk(address, b"GET / HTTP/1.1\r\nHost: loc") == b""
        where = urlsplit(address)
        with socket.create_connection((where.hostname, where.port), timeout=60) as wire:
            wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            heard = b""
            while not heard.endswith(b'{"status":"ok"}'):
                heard += (piece := wire.recv(65536))
                assert piece, heard
            wire.sendall(b"GET / HT")  # nor by who has once been polite
            with suppress(ConnectionResetError):
                assert wire.recv(65536) == b""


def test_one_connection_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wingbar.serve.server.CONNECTIONS", 1)
    with served(make_site()) as address:
        where = urlsplit(address)
        with socket.create_connection((where.hostname, where.port), timeout=60) as held:
            held.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert status(held.recv(65536)) == 200
            assert talk(address) == b""


@pytest.mark.parametrize(
    "path", ["/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "//etc/passwd", "/guide/../config.toml",
             "/page/%00", "/page/..\\app.py", "/examples/..%2f0/0"],
)  # fmt: skip
def test_no_path_leads_out(tmp_path: Path, path: str) -> None:
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "index.html").write_text("guide")
    (tmp_path / "config.toml").write_text("secret")
    with served(make_site(guide=tmp_path / "guide")) as address:
        answer = talk(address, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert status(answer) == 404 and b"secret" not in answer and b"import" not in answer


def test_a_sender_that_leaves_gives_its_place_back() -> None:
    entered, leave = threading.Event(), threading.Event()

    def work(pictures: list[bytes]) -> list:
        entered.set()
        assert leave.wait(60)
        return [seen(("a", "b"), picture) for picture in pictures]

    site = make_site(("a", "b"), work)
    with served(site) as address:
        where = urlsplit(address)
        wire = socket.create_connection((where.hostname, where.port), timeout=60)
        wire.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(png()) + png())
        assert entered.wait(60) and site.batcher.taken == 1
        wire.close()
        for _ in range(2000):
            if site.batcher.taken == 0:
                break
            threading.Event().wait(0.01)
        leave.set()
        assert site.batcher.taken == 0
        assert status(talk(address, POST + b"Connection: close\r\nContent-Length: 1\r\n\r\n", b"x")) == 400


@contextmanager
def served_by_command(run: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``wingbar serve`` in a process of its own, and the host and port that it tells."""
    source = Path(__file__).parents[2] / "src"
    command = [sys.executable, "-m", "wingbar", "serve", str(run), "--port", "0"]
    env = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            match = re.search(r"3 classes at http://(127\.0\.0\.1:\d+)/", said)
            assert match, said
            yield process, match[1]
            _, rest = process.communicate(timeout=60)
            assert process.returncode == 0 and rest == ""
        finally:
            process.kill()


def test_it_is_served_from_the_command_line_and_ends_in_peace(small_run: Path, birds: Path) -> None:
    with served_by_command(small_run) as (process, place):
        wire = http.client.HTTPConnection(place, timeout=60)
        picture = load_data(birds).split("test")[0].path
        wire.request("POST", "/api/predict", picture.read_bytes(), {"Content-Type": "image/png"})
        answer = json.loads(wire.getresponse().read())
        local = load(small_run).predict(picture)
        assert answer["label"] == local.label and answer["object_box"] == list(local.object_box)
        wire.request("GET", "/examples/0/0")
        assert wire.getresponse().read().startswith(b"\xff\xd8")
        wire.close()
        process.send_signal(signal.SIGINT)


THREADS_LEFT = """
import os, sys, time, torch
from wingbar.serve.server import ready
threads = lambda: len(os.listdir("/proc/self/task"))
before, end = threads(), time.monotonic() + 20
ready(sys.argv[1], "cpu")
while threads() > before and time.monotonic() < end:  # a thread's helpers end a moment after it
    time.sleep(0.01)
print(threads() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in Linux's /proc")
def test_getting_ready_leaves_no_threads_that_the_worker_would_share_the_cores_with(small_run: Path) -> None:
    env = os.environ | {"OMP_NUM_THREADS": "2"}
    said = subprocess.check_output([sys.executable, "-c", THREADS_LEFT, small_run], env=env, text=True)
    assert int(said) == 0


def test_a_second_interrupt_cuts_requests_off_without_a_traceback(small_run: Path) -> None:
    with served_by_command(small_run) as (process, place):
        port = int(place.partition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
            wire.sendall(POST + b"Content-Length: 100000\r\n\r\nabc")
            until(lambda: b"places_taken 1.0" in talk(f"http://{place}/", METRICS))
            process.send_signal(signal.SIGINT)
            until(lambda: not listens(port))
            process.send_signal(signal.SIGINT)
            process.wait(60)


def until(moment: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not moment():
        assert time.monotonic() < end
        time.sleep(0.01)


def listens(port: int) -> bool:
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=60):
        return True
    return False


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert wingbar("serve", "run") == 2
    assert "needs uvicorn: pip install 'wingbar[serve]'" in capsys.readouterr().err


def test_a_port_in_use_and_a_missing_run_are_told(tmp_path: Path, capsys) -> None:
    with listen("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        assert wingbar("serve", tmp_path, "--port", port) == 2
        assert f"port {port}: Address already in use" in capsys.readouterr().err
    assert wingbar("serve", tmp_path, "--port", "0") == 2
    assert "no model here" in capsys.readouterr().err
    assert wingbar("serve", tmp_path, "--queue", "0") == 2
    for host, number in (("127.0.0.1", 70000), ("no.such.host.invalid", 0), ("a" * 300, 0)):
        with pytest.raises(ConfigError, match="cannot listen"):
            listen(host, number)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("192.168.1.5", False), ("birds.example.org", False)],
)  # fmt: skip
def test_local_addresses_are_known(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_a_model_from_elsewhere_does_not_choose_what_is_shown(small_run: Path, birds: Path, tmp_path: Path) -> None:
    recognizer = load(small_run)
    assert find(small_run, recognizer, None).counts == (6, 6, 6)
    assert find(small_run / "model", recognizer, None).counts == (0, 0, 0)
    assert find(small_run / "model", recognizer, birds).counts == (6, 6, 6)
    with pytest.raises(DataError):
        find(small_run, recognizer, tmp_path / "none")
    table = tmp_path / "tables" / "birds.csv"  # its paths start elsewhere, and its names are in capitals
    table.parent.mkdir()
    rows = [f"{s.key},{recognizer.classes[s.label].upper()}" for s in load_data(birds).split("train")]
    table.write_text("\n".join(["path,label", *rows]))
    assert find(small_run / "model", recognizer, table, birds).counts == (6, 6, 6)
    recognizer.card = replace(recognizer.card, data=replace(recognizer.card.data, source=str(tmp_path / "gone")))
    assert find(small_run, recognizer, None).counts == (0, 0, 0)
