"""The routes of the review page. What is decided comes as JSON alone, which no page from elsewhere can send.

Below ``name/`` is the page of `wingbar.serve`, which names a picture and knows the way back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from wingbar.errors import PictureError, RunError
from wingbar.serve import app as served
from wingbar.serve.guard import Guard
from wingbar.serve.metrics import Measured
from wingbar.serve.review.desk import SHOWN, SMALL, Desk

HERE = Path(__file__).parent / "page"
LONGEST_BODY = 16384
"""Bytes of a decision: a path and a class's name."""


class ReviewApp:
    """Each public method answers one route."""

    def __init__(self, desk: Desk, guide: Path | None) -> None:
        self.desk, self.guide = desk, guide

    async def page(self, request: Request) -> Response:
        return FileResponse(HERE / "index.html")

    async def style(self, request: Request) -> Response:
        return FileResponse(served.HERE / "page" / "app.css")

    async def icon(self, request: Request) -> Response:
        return FileResponse(served.HERE / "page" / "icon.svg")

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def state(self, request: Request) -> Response:
        return self._state()

    async def decide(self, request: Request) -> Response:
        body = await sent(request)
        path, kind, label = body.get("path"), body.get("decision"), body.get("label", "")
        if not isinstance(path, str) or not isinstance(kind, str) or not isinstance(label, str):
            raise HTTPException(400, "Send a path, a decision and a label.")
        try:
            self.desk.decide(path, kind, label)
        except ValueError as error:
            raise HTTPException(409, f"Not kept: {error}.") from None
        return self._state()

    async def undo(self, request: Request) -> Response:
        await sent(request)
        self.desk.undo()
        return self._state()

    def picture(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(self.desk.items):
            raise HTTPException(404, "There is no such picture.")
        return self._jpeg(self.desk.items[number].path, SHOWN)

    def labelled(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(self.desk.labelled):
            raise HTTPException(404, "There is no such picture.")
        return self._jpeg(self.desk.labelled[number].path, SMALL)

    def _jpeg(self, path: Path, side: int) -> Response:
        try:
            content = self.desk.jpeg(path, side)
        except PictureError:
            raise HTTPException(404, "This picture cannot be read any more.") from None
        # After a new start the same address is another picture's.
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    def _state(self) -> Response:
        state = {**self.desk.state(), "guide": self.guide is not None}
        return JSONResponse(state, headers={"Cache-Control": "no-store"})


def create_app(desk: Desk, site: served.Site, hosts: Sequence[str] = ()) -> ASGIApp:
    """The whole application; ``hosts`` are the names that it may be called by, none for any.

    ``site`` is the page that names a picture. Its field guide is the review's too.
    """
    review = ReviewApp(desk, site.guide)
    routes: list[Route | Mount] = [
        Route("/", review.page),
        Route("/style.css", review.style),
        Route("/icon.svg", review.icon),
        Route("/healthz", review.healthz),
        Route("/api/state", review.state),
        Route("/api/decide", review.decide, methods=["POST"]),
        Route("/api/undo", review.undo, methods=["POST"]),
        Route("/pictures/{number:int}", review.picture),
        Route("/labelled/{number:int}", review.labelled),
        Mount("/page", StaticFiles(directory=HERE)),
        Mount("/name", Measured(served.pages(replace(site, review="../")), site.metrics)),
    ]
    if site.guide is not None:
        routes.append(Mount("/guide", StaticFiles(directory=site.guide, html=True)))
    handlers: dict[Any, Any] = {
        HTTPException: served.error_response, RunError: not_written, Exception: served.fault_response
    }  # fmt: skip
    return Guard(
        Starlette(routes=routes, exception_handlers=handlers, lifespan=lambda _: served.answering(site)), hosts
    )


async def not_written(request: Request, error: RunError) -> Response:
    """Why a decision is not on the disk, and what to do; the page is shown to this machine alone."""
    return JSONResponse({"error": str(error)}, 507)


async def sent(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises HTTPException for another type, which any page may send unasked."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send JSON, as application/json.")
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > LONGEST_BODY:
            raise HTTPException(413, "That is too much.")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise HTTPException(400, "That is no JSON.") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "Send a JSON object.")
    return body
