"""The outermost layer, pure ASGI: safe headers on every answer, known hosts only, no request without an end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HOST_NAME = re.compile(r"[a-z0-9_:.-]{1,253}")
REST_BYTES, REST_SECONDS = 8 << 20, 3.0
"""Limits on reading the rest of a refused body. A browser reads the answer only after it has sent the whole body."""


class Guard:
    """Wraps an application; ``hosts`` are the names it may be called by, none for any."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self.app, self.hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = Body(scope, receive)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not await body.dropped():
                    headers["Connection"] = "close"
            await send(message)

        host = called(Headers(scope=scope).get("host", ""))
        known = not self.hosts or host in self.hosts
        app = self.app if known else JSONResponse({"error": refusal(host)}, 421)
        await app(scope, body.receive, guarded)


def refusal(host: str) -> str:
    """What is said to whoever calls the server by a name that is not its own: how that name is allowed."""
    if HOST_NAME.fullmatch(host) is None:
        return "This server does not go by that host name."
    return f"This server does not go by the host name {host}. If it should, start it with: --host-name {host}"


class Body:
    """The body of a request as it is received; knows whether it is complete."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self.over = "transfer-encoding" not in headers and headers.get("content-length", "0").strip("0") == ""
        self.asked = headers.get("expect", "").lower() == "100-continue"
        """Whether the client waits for a 100 Continue before it sends; then nothing has to be read after a refusal."""

    async def receive(self) -> Message:
        message = await self._receive()
        self.over = self.over or message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def dropped(self) -> bool:
        """Read and drop the rest of the body, within limits; returns whether it is complete."""
        if self.over or self.asked:
            return self.over
        left = REST_BYTES
        try:
            async with asyncio.timeout(REST_SECONDS):
                while not self.over and left > 0:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass
        return self.over


def called(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
