"""Unpacking of untrusted archives: checked first, unpacked into a temporary folder, then moved into place."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from wingbar._system.text import printable
from wingbar.data.checks import listed_key
from wingbar.errors import DataError

MAX_MEMBERS = 200_000
MAX_TOTAL = 32 << 30
MAX_TRAILER = 64 << 20
SPARE = 256 << 20
"""Bytes that stay free on the disk."""
Opened = Callable[[], IO[bytes] | None]
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold at most."""

    members: int = MAX_MEMBERS
    total: int = MAX_TOTAL
    """Bytes of all files together."""


def is_archive(file: Path) -> bool:
    """Whether it is a tar (compressed or not) or zip file."""
    return zipfile.is_zipfile(file) or tarfile.is_tarfile(file)


def unpack(archive: Path, folder: Path, limits: ArchiveLimits = ArchiveLimits()) -> None:
    """Unpack a tar or zip file into ``folder``; what it holds is all there or not at all.

    Raises DataError for links, devices, paths that lead out, too many files or bytes, too little room on the
    disk, damage, and for a name that is in the folder already.
    """
    with _named(archive):
        total = _look_through(archive, limits)
    free = shutil.disk_usage(folder).free
    if total + SPARE > free:
        raise DataError(
            f"{str(archive)!r}: {total / 1e9:.1f} GB to unpack, but {free / 1e9:.1f} GB are free in {str(folder)!r}. "
            "Make room, then start again."
        )
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder) as temporary:
        with _named(archive):
            _write(archive, Path(temporary))
        fresh = sorted(Path(temporary).iterdir())
        clashing = [path.name for path in fresh if (folder / path.name).exists()]
        if clashing:
            raise DataError(f"{str(folder / clashing[0])!r} is there already: move it away, or name another folder.")
        for path in fresh:
            path.rename(folder / path.name)


@contextmanager
def _named(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        reason = printable(str(error) or type(error).__name__, 300)
        raise DataError(f"{str(archive)!r} cannot be unpacked: {reason}. Get it again, from its owner.") from None


def _look_through(archive: Path, limits: ArchiveLimits) -> int:
    """The bytes that its files will take. Raises ValueError for what must not be unpacked."""
    total = 0
    for number, (name, size, _) in enumerate(_members(archive), 1):
        listed_key(name)
        total += size
        if number > limits.members or total > limits.total:
            raise ValueError(f"more than {limits.members:,} files or {limits.total:,} bytes come out of it")
    return total


def _write(archive: Path, folder: Path) -> None:
    for name, size, content in _members(archive):
        path = folder / listed_key(name)
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = content()
        assert opened is not None  # only of a tar's folders there is nothing to open
        with opened, path.open("xb") as file:
            shutil.copyfileobj(opened, file)
            if file.tell() != size:
                raise ValueError(f"{name!r} has {file.tell():,} bytes, not {size:,}")


def _members(archive: Path) -> Iterator[tuple[str, int, Opened | None]]:
    """Name, size and content (None: a folder) of each member. Raises ValueError for anything but files and folders."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for item in zipped.infolist():
                kind = stat.S_IFMT(item.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise ValueError(f"{item.filename!r} is a link or a device")
                yield item.filename, item.file_size, None if item.is_dir() else partial(zipped.open, item)
        return
    with tarfile.open(archive, "r:*") as tar:
        for member in tar:
            if not (member.isreg() or member.isdir()):
                raise ValueError(f"{member.name!r} is a link or a device")
            if member.name != ".":
                yield member.name, member.size, None if member.isdir() else partial(tar.extractfile, member)
        _drain(tar.fileobj)


def _drain(stream: Any) -> None:
    """Read what follows a tar's end: compression's own checksum, which is compared there."""
    rest = 0
    while piece := stream.read(1 << 20):
        rest += len(piece)
        if rest > MAX_TRAILER:
            raise ValueError("it does not end")
