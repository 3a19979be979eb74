"""`wingbar data download`: a published data set into a folder, from its owner or from mirrors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wingbar._system.files import make_folder, write_text
from wingbar.data import load
from wingbar.data.download.fetch import PATIENT, Patience, check, fetch
from wingbar.data.download.sources import SOURCES, Remote, Source
from wingbar.data.download.unpack import is_archive, unpack
from wingbar.errors import DataError, suggestion

__all__ = ["SOURCES", "download"]

KEPT = ".wingbar-download"
"""Folder of unfinished downloads, and of a mark for each finished file."""


def download(
    name: str,
    folder: Path,
    mirrors: tuple[str, ...] = (),
    say: Callable[[str], None] = print,
    patience: Patience = PATIENT,
) -> Path:
    """Fetch and unpack what is not in ``folder`` yet; returns the folder to train on.

    A file that lies in ``folder`` already, fetched by hand, is used and left there. Mirrors are folders of
    the web that hold the files under their names; they are asked before the owner. Raises DataError for an
    unknown name, and where a file cannot be had: then it says which to fetch by hand, and where to put it.
    """
    if name not in SOURCES:
        raise DataError(f"{name!r} is no known data set.{suggestion(name, SOURCES)} Known: {', '.join(SOURCES)}.")
    source = SOURCES[name]
    if not (folder / KEPT).exists() and _readable(folder / source.folder):
        say(f"{source.title} is in {str(folder)!r} already")
        return folder / source.folder
    make_folder(folder / KEPT)
    say(f"{source.title}, {source.page}\nterms: {source.terms}")
    for remote in source.files:
        done = folder / KEPT / f"{remote.name}.done"
        if done.is_file():
            say(f"{remote.name}: there already")
            continue
        file = folder / remote.name
        if file.is_file():
            check(file, remote.md5, str(file))
            origin = "put there by hand"
            if is_archive(file):
                unpack(file, folder)
        else:
            file = folder / KEPT / remote.name
            origin = _get(remote, source, folder, file, mirrors, say, patience)
            if is_archive(file):
                unpack(file, folder)
            else:
                file.replace(folder / remote.name)
        known = f"MD5 {remote.md5}" if remote.md5 else "no checksum is known"
        write_text(done, f"{origin}\n{known}\n")
        (folder / KEPT / remote.name).unlink(missing_ok=True)
        say(f"{remote.name}: done ({known})")
    return folder / source.folder


def _readable(folder: Path) -> bool:
    try:
        load(folder)
    except DataError:
        return False
    return True


def _get(
    remote: Remote,
    source: Source,
    folder: Path,
    fetched: Path,
    mirrors: tuple[str, ...],
    say: Callable[[str], None],
    patience: Patience,
) -> str:
    """Fetch a file from the first address that gives it; returns that address."""
    addresses = [f"{mirror.rstrip('/')}/{remote.name}" for mirror in mirrors] + ([remote.url] if remote.url else [])
    problems = [] if remote.url else ["its owner's address is dead"]
    for address in addresses:
        try:
            if not fetched.is_file():
                fetch(address, fetched, remote.md5, say, patience)
            return address
        except DataError as error:
            problems.append(str(error))
            say(str(error))
    checksum = f" (MD5 {remote.md5})" if remote.md5 else ""
    raise DataError(
        f"{remote.name} of {source.title} cannot be fetched: {'; '.join(problems).rstrip('.')}. Fetch it by hand from "
        f"{source.page} or from somebody who has it{checksum}, put it into {str(folder)!r}, and start the same command "
        "again; or give --mirror with an address that holds it."
    )
