"""Metrics of the running server in Prometheus's text format. They hold nothing about pictures or people."""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
METHODS = frozenset(("GET", "HEAD", "POST"))


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self, taken: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "wingbar_requests", "Answers given.", ("handler", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "wingbar_request_seconds", "From request to answer.", ("handler",), buckets=SECONDS, registry=self.registry
        )
        self.batch = Histogram(
            "wingbar_batch_pictures", "Pictures predicted together.", buckets=(1, 2, 4, 8), registry=self.registry
        )
        self.work = Histogram(
            "wingbar_batch_seconds", "Time of a batch in the model.", buckets=SECONDS, registry=self.registry
        )
        self.gone = Counter("wingbar_disconnects", "Senders that left before their answer.", registry=self.registry)
        places = Gauge("wingbar_places_taken", "Pictures being received, waiting or predicted.", registry=self.registry)
        places.set_function(lambda: float(taken()))
        ProcessCollector(registry=self.registry)

    def saw_batch(self, pictures: int, seconds: float) -> None:
        """Count one batch."""
        self.batch.observe(pictures)
        self.work.observe(seconds)

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)


class Measured:
    """ASGI middleware that counts answers by handler, and not by path, which clients could invent."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            endpoint = scope.get("endpoint")  # set by the router
            handler = getattr(endpoint, "__name__", "none" if endpoint is None else "files")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.metrics.requests.labels(handler, method, str(status)).inc()
            self.metrics.seconds.labels(handler).observe(time.perf_counter() - started)
