"""A storm on the web page: honest visitors among slow ones, liars, leavers, endless senders and thousands of errors.

The server runs in a process of its own around a made-up model (`made_up`): what is tried is the house, not the nets.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bounds import LONGEST, SUPPORT
from serving import png

HONEST, HASTY, SLOW, LYING, ENDLESS, LEAVING = 32, 4, 8, 6, 6, 8
"""Clients of each kind, 64 in all."""
PLACES = 16
LIMIT = 2 << 20
"""Bytes of a body; the default is ten times as much, and a leak would be lost among bodies on their way."""
POST = b"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
FORM = POST.replace(b"image/png", b"multipart/form-data; boundary=b")
FIELD = b'--b\r\nContent-Disposition: form-data; name="picture"; filename="x"\r\n\r\n'
ERRORS = (
    (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    (b"GET /page/..%2fapp.py HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    (b"DELETE /api/classes HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    (POST.replace(b"image/png", b"text/plain") + b"Content-Length: 4\r\n\r\nabcd", 415),
    (POST.replace(b"predict", b"predict?top=x") + b"Content-Length: 4\r\n\r\nabcd", 400),
)  # fmt: skip
SERVER = """
import sys
from pathlib import Path
from made_up import made_up
from wingbar.serve.app import create_app
from wingbar.serve.body import RequestLimits
from wingbar.serve.examples import ExamplePictures
from wingbar.serve.server import LOCAL_NAMES, Server, address, build_site, listen
recognizer = made_up(Path(sys.argv[1]))
recognizer.predict(bytes.fromhex(sys.argv[3]))
limits = RequestLimits(size=int(sys.argv[4]))
site = build_site(Path(sys.argv[1]), recognizer, ExamplePictures([()] * 3), limits, places=int(sys.argv[2]))
with listen("127.0.0.1", 0) as listener:
    print(address(listener), flush=True)
    Server(create_app(site, LOCAL_NAMES), site.batcher.stop).run(sockets=[listener])
"""


@dataclass
class Tally:
    """What was seen."""

    answers: Counter[int] = field(default_factory=Counter)
    """Statuses that honest visitors got."""
    waits: list[float] = field(default_factory=list)
    """Seconds of each picture that was named."""
    health: list[float] = field(default_factory=list)
    errors: Counter[int] = field(default_factory=Counter)
    attacks: Counter[str] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)
    """MiB of the server, once a second."""
    places: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        first, last = self.memory[0], self.memory[-1]
        return (
            f"named {self.answers[200]}, told to come again {self.answers[429]}; waits {spread(self.waits)}; "
            f"health checks {len(self.health)}, {spread(self.health)}; errors {self.errors.total()}; "
            f"attacks {dict(self.attacks)}; memory {first:.0f} MiB at first, {max(self.memory):.0f} at most, "
            f"{last:.0f} at last; places taken at most {max(self.places):.0f} of {PLACES}"
        )


def spread(seconds: list[float]) -> str:
    """Median, 99 % and the longest."""
    ranked = sorted(seconds)
    p50, p99 = (ranked[min(int(part * len(ranked)), len(ranked) - 1)] for part in (0.5, 0.99))
    return f"p50 {p50:.3f} s, p99 {p99:.3f} s, longest {ranked[-1]:.3f} s"


@contextmanager
def a_server(folder: Path) -> Iterator[int]:
    """The port of a server in a process of its own."""
    paths = os.pathsep.join([str(SUPPORT.parents[1] / "src"), str(SUPPORT)])
    command = [sys.executable, "-c", SERVER, str(folder), str(PLACES), png().hex(), str(LIMIT)]
    env = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        try:
            yield int(re.findall(r":(\d+)/", process.stdout.readline())[0])
            assert process.poll() is None, "the server has gone"
        finally:
            process.terminate()


Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    """A connection, closed whatever happens; a peer that hangs up is no fault of ours."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            yield reader, writer
    finally:
        writer.close()


async def ask(wire: Wire, request: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to a request."""
    reader, writer = wire
    writer.write(request)
    async with asyncio.timeout(LONGEST):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.I)
        return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length[1]) if length else 0)


class Storm:
    """All clients at one server until ``seconds`` are over and ``errors`` were made."""

    def __init__(self, port: int, seconds: float, errors: int) -> None:
        self.port, self.left, self.tally = port, errors, Tally()
        self.end = time.monotonic() + seconds
        self.pictures = [png((200, 150), "JPEG", colour) for colour in ("olive", "teal", "navy", "tan")]

    def over(self) -> bool:
        return time.monotonic() > self.end

    async def run(self) -> Tally:
        kinds = ((HONEST, self.honest), (HASTY, self.hasty), (SLOW, self.slow), (LYING, self.lying),
                 (ENDLESS, self.endless), (LEAVING, self.leaving), (1, self.well), (1, self.measured))  # fmt: skip
        async with asyncio.TaskGroup() as group:
            for count, kind in kinds:
                for _ in range(count):
                    group.create_task(kind())
        return self.tally

    async def honest(self) -> None:
        picture = self.pictures[self.tally.answers.total() % len(self.pictures)]
        while not self.over():
            started = time.monotonic()
            async with connected(self.port) as wire:
                status, _ = await ask(wire, POST + b"Content-Length: %d\r\n\r\n" % len(picture) + picture)
                self.tally.answers[status] += 1
                if status == 200:
                    self.tally.waits.append(time.monotonic() - started)
            await asyncio.sleep(0.1)

    async def hasty(self) -> None:
        while self.left > 0:
            async with connected(self.port) as wire:
                while self.left > 0:
                    self.left -= 1
                    request, expected = ERRORS[self.left % len(ERRORS)]
                    status, _ = await ask(wire, request)
                    assert status in (expected, 429), (status, request)  # 429: the house is full
                    self.tally.errors[status] += 1

    async def slow(self) -> None:
        while not self.over():
            async with connected(self.port) as (_, writer):
                self.tally.attacks["slow"] += 1
                for byte in POST + b"Content-Length: 9999\r\n\r\n" + bytes(200):
                    writer.write(bytes([byte]))
                    await asyncio.wait_for(writer.drain(), LONGEST)
                    await asyncio.sleep(0.05)
                    if self.over():
                        return

    async def lying(self) -> None:
        claims = (b"Content-Length: 999999999999\r\n\r\n", b"Content-Length: 5\r\n\r\n", b"Content-Length: -1\r\n\r\n",
                  b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"Content-Length: x\r\n\r\n")  # fmt: skip
        number = 0
        while not self.over():
            async with connected(self.port) as wire:
                self.tally.attacks["lying"] += 1
                status, _ = await ask(wire, POST + claims[number % len(claims)] + self.pictures[0])
                assert status in (400, 413, 429), status
            number += 1
            await asyncio.sleep(0.1)

    async def endless(self) -> None:
        piece = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        while not self.over():
            async with connected(self.port) as (_, writer):
                self.tally.attacks["endless"] += 1
                writer.write(FORM + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(FIELD), FIELD))
                while not self.over():  # until it is hung up on
                    writer.write(piece)
                    await asyncio.wait_for(writer.drain(), LONGEST)
            await asyncio.sleep(0.5)

    async def leaving(self) -> None:
        while not self.over():
            async with connected(self.port) as (_, writer):
                self.tally.attacks["leaving"] += 1
                writer.write(POST + b"Content-Length: %d\r\n\r\n" % len(self.pictures[0]) + self.pictures[0][:300])
                await writer.drain()
                await asyncio.sleep(0.1)

    async def well(self) -> None:
        while not self.over() or self.left > 0:
            started = time.monotonic()
            async with connected(self.port) as wire:
                assert await ask(wire, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") == (200, b'{"status":"ok"}')
                self.tally.health.append(time.monotonic() - started)
            await asyncio.sleep(0.1)

    async def measured(self) -> None:
        while not self.over() or self.left > 0 or len(self.tally.memory) < 4:
            async with connected(self.port) as wire:
                _, text = await ask(wire, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.tally.memory.append(gauge(text, "process_resident_memory_bytes") / (1 << 20))
                self.tally.places.append(gauge(text, "wingbar_places_taken"))
            await asyncio.sleep(1)


def gauge(text: bytes, name: str) -> float:
    """A figure of the metrics."""
    match = re.search(rf"^{name} (\S+)$", text.decode(), re.M)
    assert match, name
    return float(match[1])
