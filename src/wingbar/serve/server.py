"""Starting and stopping of the server: one model in memory, one socket, one worker thread."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import h11
import numpy as np
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from wingbar.errors import ConfigError, DataError
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer, load
from wingbar.serve.app import Site, create_app
from wingbar.serve.batching import Batcher
from wingbar.serve.body import RequestLimits
from wingbar.serve.examples import ExamplePictures, find_examples
from wingbar.serve.metrics import Metrics

BATCH = 8
CONNECTIONS = 512
HEAD_SECONDS = 15.0
"""From a request's first byte to the end of its headers."""
GOODBYE_SECONDS = 60
"""Time for the current batch when the server is stopped."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def serve(
    run: Path,
    *,
    host: str,
    port: int,
    data: Path | None = None,
    images_root: Path | None = None,
    names: Sequence[str] = (),
    limits: RequestLimits | None = None,
    places: int = 32,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
) -> None:
    """Serve the run's model until SIGINT or SIGTERM. Raises RunError, DataError or ConfigError."""
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    with listen(host, port) as listener:
        recognizer = ready(run, device)
        site = build_site(run, recognizer, find(run, recognizer, data, images_root), limits, places)
        hosts = (*LOCAL_NAMES, host, *names) if names or is_local(host) else ()
        server = Server(create_app(site, hosts), site.batcher.stop)
        say(f"{len(recognizer.classes)} classes at {address(listener)} (stop with Ctrl-C)")
        with suppress(KeyboardInterrupt):  # uvicorn stops in peace, then raises the signal again
            server.run(sockets=[listener])


def ready(run: Path, device: Literal["auto", "cpu", "cuda", "mps"]) -> Recognizer:
    """The run's model, which has compiled what the first visitor would wait for.

    It is loaded in a thread that ends. A thread that has run nets keeps the threads that helped it (OpenMP), and where
    these and the worker's are more than the cores, they sleep between layers: a picture takes 1.7 times as long.
    """

    def first() -> Recognizer:
        recognizer = load(run, device=device)
        recognizer.predict(np.full((64, 64, 3), 127, np.uint8))
        return recognizer

    with ThreadPoolExecutor(1) as passing:
        return passing.submit(first).result()


def build_site(
    run: Path, recognizer: Recognizer, examples: ExamplePictures, limits: RequestLimits | None = None, places: int = 32
) -> Site:
    """All that answers requests, around one model."""
    batcher: Batcher[bytes, Prediction] = Batcher(partial(predict_batch, recognizer), size=BATCH, places=places)
    return Site(
        recognizer.classes,
        batcher,
        Metrics(lambda: batcher.taken),
        examples,
        limits or RequestLimits(),
        guide_of(run),
    )


def guide_of(run: Path) -> Path | None:
    """The folder of the run's field guide; None where it has none."""
    return run / "guide" if (run / "guide" / "index.html").is_file() else None


def predict_batch(recognizer: Recognizer, pictures: list[bytes]) -> list[Prediction]:
    """Predict one batch; runs in the worker's thread."""
    return list(recognizer.predict_many(pictures, batch_size=len(pictures)))


def find(run: Path, recognizer: Recognizer, data: Path | None, images_root: Path | None = None) -> ExamplePictures:
    """ExamplePictures from ``data``, else from the data set of a run trained on this machine, else none.

    A model folder that came from elsewhere names a data set too, but does not get to choose what is shown here.
    """
    none = ExamplePictures([()] * len(recognizer.classes))
    if data is not None:
        return find_examples(recognizer.classes, data, images_root)
    if not (run / "config.toml").is_file():
        return none
    data_card = recognizer.card.data
    try:
        return find_examples(recognizer.classes, Path(data_card.source), data_card.images_root or None)
    except DataError as error:
        say(f"no examples to compare with: {error}")
        return none


def listen(host: str, port: int) -> socket.socket:
    """The socket that is served. Raises ConfigError if it cannot be had."""
    if not 0 <= port < 1 << 16:
        raise ConfigError(f"cannot listen at port {port}: a --port is a number from 0 to 65535.")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot listen at {host}, port {port}: {reason}; give another --port or --host.") from None


def is_local(host: str) -> bool:
    """Whether only this machine can reach the server: then no other name may lead to it (DNS rebinding)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(listener: socket.socket) -> str:
    """Where a browser on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def say(text: str) -> None:
    """One line for whoever started the server."""
    print(text, file=sys.stderr, flush=True)


class Server(uvicorn.Server):
    """uvicorn's server, which says goodbye first: the page answers the waiting requests with an error."""

    def __init__(self, app: Callable[..., Any], goodbye: Callable[[], None] = lambda: None) -> None:
        self.goodbye = goodbye
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GOODBYE_SECONDS,
            )
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in peace at the first signal, at once at a Ctrl-C that follows; what that cuts off is no error."""
        super().handle_exit(sig, frame)
        logging.getLogger("uvicorn.error").disabled = self.force_exit

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            logging.getLogger("uvicorn.error").disabled = False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.goodbye()
        await super().shutdown(sockets)


class Protocol(H11Protocol):
    """The HTTP protocol with a time limit for headers and a limit on the number of connections."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch_head()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._unwatch_head()
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _unwatch_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
