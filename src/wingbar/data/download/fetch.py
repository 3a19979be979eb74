"""Download of one file over HTTP: resumed after an interruption, limited in size, verified, complete or not there."""

from __future__ import annotations

import hashlib
import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wingbar.errors import DataError

CHUNK = 1 << 20
REPORTED = 100_000_000
"""Bytes between two lines on how far it is."""
SPARE = 256 << 20
"""Bytes that stay free on the disk."""
MAX_BYTES = 64 << 30


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to come again."""

    timeout: float = 60.0
    """Seconds without a byte."""
    tries: int = 5
    """In a row without a byte gained."""
    pause: float = 2.0
    """Seconds between two."""


PATIENT = Patience()


def fetch(url: str, target: Path, md5: str, say: Callable[[str], None], patience: Patience = PATIENT) -> None:
    """Fetch ``url`` into ``target``, going on from ``target.partial`` where that is there.

    Raises DataError where the server has no such file, breaks off again and again, sends too much for the
    disk, or the checksum is wrong (then nothing is kept).
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url!r} is no address of the web: it must begin with http:// or https://.")
    partial = target.with_name(target.name + ".partial")
    failures = 0
    while True:
        before = _size(partial)
        try:
            _receive(url, partial, bool(md5), say, patience.timeout)
            break
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                raise DataError(f"{url}: the server answers {error.code} ({error.reason}).") from None
            reason = f"the server answers {error.code} ({error.reason})"
        except DataError:  # which is a ValueError too, but no broken connection
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(getattr(error, "reason", error) or type(error).__name__)
        failures = 1 if _size(partial) > before else failures + 1
        if failures >= patience.tries:
            raise DataError(f"{url}: given up after {failures} tries ({reason}). Start again to go on from there.")
        say(f"broken off at {_size(partial):,} bytes ({reason}); going on from there")
        time.sleep(patience.pause)
    check(partial, md5, url)
    partial.replace(target)
    _mark(partial).unlink(missing_ok=True)


def check(file: Path, md5: str, origin: str) -> None:
    """Raise DataError, and remove a file just fetched, where its checksum is another."""
    if not md5:
        return
    with file.open("rb") as stream:
        measured = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if measured != md5:
        if file.suffix == ".partial":
            file.unlink()
            _mark(file).unlink(missing_ok=True)
        raise DataError(f"{origin}: the MD5 checksum is {measured}, but {md5} is the published file's. Not used.")


def _receive(url: str, partial: Path, checked: bool, say: Callable[[str], None], timeout: float) -> None:
    """One connection: add what comes to ``partial``. Raises OSError, HTTPException or ValueError if it breaks off."""
    have, mark = _size(partial), _mark(partial)
    request = urllib.request.Request(url, headers={"User-Agent": "wingbar", "Accept-Encoding": "identity"})
    if have and (checked or mark.is_file()):
        request.add_header("Range", f"bytes={have}-")
    if have and mark.is_file():
        # A file that has changed meanwhile is sent whole: two halves of two editions would make a third.
        request.add_header("If-Range", mark.read_text())
    try:
        answer = _opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the piece asked for is beyond the end: begin anew
            partial.unlink(missing_ok=True)
            error.close()
            raise ValueError("the server's file is shorter than what is here already") from None
        raise
    with answer:
        start = _start(answer) if answer.status == 206 else 0
        if start not in (0, have):
            raise ValueError(f"asked for bytes from {have}, got bytes from {start}")
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        _room(partial, (total or 0) - start, url)
        _remember(mark, answer)
        say(f"{url}: {start:,} of {f'{total:,}' if total else 'unknown'} bytes")
        _append(answer, partial, start, total, say)


def _append(
    answer: http.client.HTTPResponse, partial: Path, start: int, total: int | None, say: Callable[[str], None]
) -> None:
    got = start
    with partial.open("ab" if start else "wb") as file:
        while piece := answer.read1(CHUNK):
            if (got + len(piece)) // REPORTED > got // REPORTED:
                say(f"  {got + len(piece):,} bytes")
            got += len(piece)
            if got > MAX_BYTES:
                raise DataError(f"{answer.geturl()}: the server sends more than {MAX_BYTES >> 30} GiB.")
            file.write(piece)
    if total is not None and got < total:
        raise ConnectionError(f"{got:,} of {total:,} bytes came")


def _opener() -> urllib.request.OpenerDirector:
    """Of the web alone: no redirection leads to a file of this machine or to FTP; the user's proxies count."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _start(answer: http.client.HTTPResponse) -> int:
    match = re.fullmatch(r"bytes (\d+)-\d+/(?:\d+|\*)", answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _mark(partial: Path) -> Path:
    """The file that holds the ETag or the date of the partial download."""
    return partial.with_name(partial.name + ".edition")


def _remember(mark: Path, answer: http.client.HTTPResponse) -> None:
    tag = answer.headers.get("ETag", "")
    edition = tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")
    if edition:
        mark.write_text(edition)
    else:
        mark.unlink(missing_ok=True)


def _room(partial: Path, needed: int, url: str) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed + SPARE > free:
        raise DataError(
            f"{url}: {needed / 1e9:.1f} GB more are needed, but {free / 1e9:.1f} GB are free in "
            f"{str(partial.parent)!r}. Make room, or choose another folder."
        )


def _size(file: Path) -> int:
    with suppress(FileNotFoundError):
        return file.stat().st_size
    return 0
