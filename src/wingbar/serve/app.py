"""The routes of the web application. Bodies are read in `body`, batches made in `batching`, headers set in `guard`."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

import wingbar
from wingbar._system.text import display_names
from wingbar.errors import PictureError
from wingbar.guide.pages import class_page
from wingbar.prediction import Prediction
from wingbar.serve.batching import Batcher, Full, Stopped
from wingbar.serve.body import RequestLimits, receive_picture, refused
from wingbar.serve.examples import ExamplePictures
from wingbar.serve.guard import Guard
from wingbar.serve.metrics import Measured, Metrics

HERE = Path(__file__).parent
TOP, MOST = 5, 100
"""Number of classes in an answer: the default and the maximum."""
GONE = 499
"""Status in the metrics for a client that disconnected; it is never sent."""
SENTENCES = {404: "There is nothing at this address.", 405: "This address does not take that method."}
"""Sentences in place of Starlette's short phrases."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Site:
    """The parts of the application; each public method answers one route."""

    classes: Sequence[str]
    batcher: Batcher[bytes, Prediction]
    metrics: Metrics
    examples: ExamplePictures
    limits: RequestLimits = field(default_factory=RequestLimits)
    guide: Path | None = None
    """Folder of the field guide."""
    review: str | None = None
    """Address of the review that this page is a part of."""

    async def page(self, request: Request) -> Response:
        return FileResponse(HERE / "page" / "index.html")

    async def icon(self, request: Request) -> Response:
        return FileResponse(HERE / "page" / "icon.svg")

    async def predict(self, request: Request) -> Response:
        top = wanted(request)
        try:
            with self.batcher.place():
                picture = await receive_picture(request, self.limits)
                prediction = await answered(request, self.batcher.submit(picture))
        except Full as error:
            busy = f"Too many pictures are waiting; try again in {error.seconds} s."
            raise HTTPException(429, busy, {"Retry-After": str(error.seconds)}) from None
        except Stopped:
            raise HTTPException(503, "The server is shutting down.", {"Retry-After": "10"}) from None
        except ClientDisconnect:
            self.metrics.gone.inc()
            return Response(status_code=GONE)
        if prediction.error is not None:
            raise refused(prediction.error)
        return JSONResponse(as_json(prediction, top), headers={"Cache-Control": "no-store"})

    async def list_classes(self, request: Request) -> Response:
        classes = [
            {
                "index": label,
                "name": name,
                "shown": shown,
                "examples": count,
                "guide": f"guide/{class_page(label)}" if self.guide else None,
            }
            for label, (name, shown, count) in enumerate(
                zip(self.classes, display_names(self.classes), self.examples.counts, strict=True)
            )
        ]
        limits = {"bytes": self.limits.size, "pixels": self.limits.pixels}
        guide = "guide/" if self.guide else None
        return JSONResponse({"classes": classes, "guide": guide, "review": self.review, "limits": limits})

    async def example(self, request: Request) -> Response:
        label, number = request.path_params["label"], request.path_params["number"]
        if not self.examples.has(label, number):
            raise HTTPException(404, "There is no such example.")
        try:
            content = await asyncio.to_thread(self.examples.jpeg, label, number)
        except PictureError:
            raise HTTPException(404, "This example cannot be read any more.") from None
        # A review's address has another run's pictures the next time.
        kept = "no-store" if self.review else "private, max-age=3600"
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": kept})

    async def guide_index(self, request: Request) -> Response:
        return RedirectResponse("guide/")  # relative: a front may serve this under a path of its own

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(document())

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def measurements(self, request: Request) -> Response:
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def create_app(site: Site, hosts: Sequence[str] = ()) -> ASGIApp:
    """The whole application; ``hosts`` are the names it may be called by, none for any."""
    return Guard(Measured(pages(site), site.metrics), hosts)


def pages(site: Site) -> Starlette:
    """What answers all addresses, without a guard. Whoever mounts it in an application of theirs runs `answering`."""
    routes: list[Route | Mount] = [
        Route("/", site.page),
        Route("/favicon.ico", site.icon),
        Route("/api/predict", site.predict, methods=["POST"]),
        Route("/api/classes", site.list_classes),
        Route("/examples/{label:int}/{number:int}", site.example),
        Route("/openapi.json", site.openapi),
        Route("/healthz", site.healthz),
        Route("/metrics", site.measurements),
        Mount("/page", StaticFiles(directory=HERE / "page")),
    ]
    if site.guide:
        routes.append(Route("/guide", site.guide_index))
        routes.append(Mount("/guide", StaticFiles(directory=site.guide, html=True)))
    handlers: dict[Any, Any] = {HTTPException: error_response, Exception: fault_response}
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=lambda _: answering(site))


@asynccontextmanager
async def answering(site: Site) -> AsyncIterator[None]:
    """Pictures are predicted while this is open."""
    working = asyncio.create_task(site.batcher.run(site.metrics.saw_batch))
    try:
        yield
    finally:
        site.batcher.stop()
        await working


async def error_response(request: Request, error: HTTPException) -> Response:
    """An HTTP error as JSON."""
    terse = error.detail == HTTPStatus(error.status_code).phrase
    sentence = SENTENCES.get(error.status_code, error.detail) if terse else error.detail
    return JSONResponse({"error": sentence}, error.status_code, error.headers)


async def fault_response(request: Request, error: Exception) -> Response:
    """An internal error as JSON; its cause is written to the log only."""
    return JSONResponse({"error": "Something went wrong here; the server's log says what."}, 500)


def wanted(request: Request) -> int:
    """The number of classes to answer with: the query's ``top``. Raises HTTPException."""
    value = request.query_params.get("top", str(TOP))
    if not (value.isascii() and value.isdecimal() and len(value) < 4 and 1 <= int(value) <= MOST):
        raise HTTPException(400, f"'top' must be a number from 1 to {MOST}.")
    return int(value)


async def answered(request: Request, answer: asyncio.Future[Prediction]) -> Prediction:
    """Wait for the answer. Raises ClientDisconnect if the client leaves first; the picture is then not predicted."""
    leaving = asyncio.ensure_future(request.receive())  # all of the body is in: only a farewell can follow
    try:
        await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientDisconnect
        return answer.result()
    finally:
        leaving.cancel()
        answer.cancel()


def as_json(prediction: Prediction, top: int) -> dict[str, Any]:
    """A prediction as JSON values: `Prediction.to_dict` without its path, and the saliency map."""
    values = prediction.to_dict(top)
    del values["path"]
    return values | {"map": [[round(float(value), 3) for value in row] for row in prediction.saliency_map]}


def document() -> dict[str, Any]:
    """The OpenAPI description of the interface."""
    description: dict[str, Any] = json.loads((HERE / "openapi.json").read_text(encoding="utf-8"))
    description["info"]["version"] = wingbar.__version__
    return description
