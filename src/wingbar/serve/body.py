"""The picture in a request: limited in bytes, pixels and time as it is received, and held in memory only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from wingbar.errors import PictureError, PictureTooLarge
from wingbar.images import MAX_PIXELS, picture_size

FORM, BYTES, PICTURE = "multipart/form-data", "application/octet-stream", "image/"
FIELD = "picture"


@dataclass(frozen=True)
class RequestLimits:
    """What one request may ask for."""

    size: int = 32 << 20
    """Bytes of the body."""
    pixels: int = MAX_PIXELS
    """Width times height of the picture."""
    seconds: float = 60.0
    """From the first byte of the body to its last."""


async def receive_picture(request: Request, limits: RequestLimits) -> bytes:
    """A picture's file from a raw body or the form field ``picture``; its header was checked.

    Raises HTTPException (400, 408, 413, 415), or ClientDisconnect.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (FORM, BYTES) and not kind.startswith(PICTURE):
        raise HTTPException(415, f"Send a picture as image/..., {BYTES}, or {FORM} with the field '{FIELD}'.")
    if declared(request) > limits.size:
        raise too_large(limits)
    try:
        async with asyncio.timeout(limits.seconds):
            content = await (form_file(request, limits) if kind == FORM else collected(bounded(request, limits)))
    except TimeoutError:
        raise HTTPException(408, f"The picture did not arrive within {limits.seconds:.0f} s.") from None
    await asyncio.to_thread(check_header, content, limits)
    return content


def declared(request: Request) -> int:
    """The Content-Length of a request, 0 without one. It serves only to refuse large bodies early."""
    value = request.headers.get("content-length", "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else 0


async def bounded(request: Request, limits: RequestLimits) -> AsyncGenerator[bytes, None]:
    """The body's pieces as they come. Raises HTTPException as soon as they are too many."""
    left = limits.size
    async for piece in request.stream():
        left -= len(piece)
        if left < 0:
            raise too_large(limits)
        yield piece


async def collected(pieces: AsyncGenerator[bytes, None]) -> bytes:
    """All of a body."""
    content = bytearray()
    async for piece in pieces:
        content += piece
    return bytes(content)


async def form_file(request: Request, limits: RequestLimits) -> bytes:
    """The one file of a form. Raises HTTPException."""
    parser = MultiPartParser(
        request.headers, bounded(request, limits), max_files=1, max_fields=4, max_part_size=limits.size
    )
    parser.spool_max_size = limits.size + 1  # never to the disk
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"The form cannot be read: {error.message}") from None
    try:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise HTTPException(400, f"The form has no file in the field '{FIELD}'.")
        return await file.read()
    finally:
        await form.close()


def check_header(content: bytes, limits: RequestLimits) -> None:
    """Raise HTTPException for what is no picture or has too many pixels; nothing is decoded."""
    try:
        width, height = picture_size(content)
    except PictureError as error:
        raise refused(error) from None
    if width * height > limits.pixels:
        raise HTTPException(
            413,
            f"The picture has {width} x {height} pixels; at most {limits.pixels // 10**6} million are taken. Send a "
            "smaller one, or start the page by wingbar serve --max-megapixels.",
        )


def refused(error: PictureError | str) -> HTTPException:
    """The answer to a picture that cannot be read."""
    status = 413 if isinstance(error, PictureTooLarge) else 400
    return HTTPException(status, f"The picture cannot be read: {str(error).removeprefix(repr('<bytes>') + ': ')}.")


def too_large(limits: RequestLimits) -> HTTPException:
    """The answer to a body over the limit."""
    return HTTPException(
        413,
        f"The picture is larger than {limits.size / (1 << 20):g} MiB; send a smaller one, or start the page by "
        "wingbar serve --max-megabytes.",
    )
