"""Pictures without labels, listed one after the other however many they are: a table, a folder's tree, tar archives.

``pictures.csv``  with a column ``path``: see `wingbar.data.rows`
``folder/``       pictures and ``.tar`` archives in it at any depth, in the order of their names; what is passed over
                  in folders is told in `wingbar.data.folders`
``pictures.tar``  its regular members that are named like pictures; nothing is unpacked, so names and links in it lead
                  nowhere. Compressed archives are refused: a stopped job could not go on in their middle

Listing again gives the same order. What is held in memory is the names in one folder, and its parents', at a time.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from wingbar.data.checks import EXTENSIONS, named
from wingbar.data.folders import PassOver, Tally, Walk, name_order, why_hidden
from wingbar.data.rows import TABLES, Places, read_rows
from wingbar.errors import DataError
from wingbar.images import Member

MAX_HEADER_BYTES = 1 << 20
"""Of one header in a tar archive: long names and attributes."""
PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".7z")


@dataclass(frozen=True, slots=True)
class UnlabelledPicture:
    """A picture of a folder, a table or an archive, without a label."""

    name: str
    """Relative to the folder that was given, or that the paths of the given table start at; with forward slashes."""
    source: Path | Member


def listed(source: Path, root: Path | None = None, pass_over: PassOver | None = None) -> Iterator[UnlabelledPicture]:
    """The pictures of a table, a folder or a tar archive.

    Paths of a table start at ``root``, or else at the table's folder. ``pass_over`` is called for each file and
    folder that is left out. Raises ``DataError`` where the source cannot be listed whole.
    """
    if source.is_dir():
        yield from _tree(source, pass_over or Tally())
    elif source.suffix.lower() in TABLES:
        places = Places(source, root)
        for _, key, path in places.rows(read_rows(source, ("path",))):
            yield UnlabelledPicture(key, path)
    elif source.suffix.lower() == ".tar":
        yield from _archive(source, source.name)
    elif not source.exists():
        raise DataError(f"{str(source)!r}: no such file or folder.")
    else:
        packed = " Unpack it to a .tar or to a folder." if source.suffix.lower() in PACKED else ""
        raise DataError(f"{str(source)!r} lists no pictures.{packed} Give a folder, a .csv or .tsv table, or a .tar.")


def pictures_in(folder: Path, pass_over: PassOver) -> Iterator[Path]:
    """The files in a folder, at any depth, that are named like pictures, in the order of their names.

    ``pass_over`` is called for every path that is left out. Raises ``DataError`` where a folder cannot be listed.
    """
    for path in _files(folder, pass_over):
        if path.suffix.lower() in EXTENSIONS:
            yield path
        else:
            pass_over(path, f"not a picture's extension: {path.suffix!r}")


def as_text(name: str) -> str:
    """A file's name as text; bytes of it that are no UTF-8 become ``\\xff``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _tree(root: Path, pass_over: PassOver) -> Iterator[UnlabelledPicture]:
    for path in _files(root, pass_over):
        name, ending = path.relative_to(root).as_posix(), path.suffix.lower()
        if ending == ".tar":
            yield from _archive(path, name)
        elif ending in EXTENSIONS:
            yield UnlabelledPicture(as_text(name), path)
        else:
            pass_over(path, f"not a picture's extension: {path.suffix!r}")


def _files(root: Path, pass_over: PassOver) -> Iterator[Path]:
    """All files in a folder at any depth; a folder's own files and folders in one order of names."""
    walk = Walk(root, pass_over)
    open_folders = [(root, _names(walk, root))]
    while open_folders:
        folder, names = open_folders[-1]
        name = next(names, None)
        if name is None:
            open_folders.pop()
        elif name.endswith("/"):
            inner = folder / name
            open_folders.append((inner, _names(walk, inner)))
        else:
            yield folder / name


def _names(walk: Walk, folder: Path) -> Iterator[str]:
    """What is in a folder, in order; names of folders end with a slash."""
    folders, files = walk.entries(folder)
    return iter(sorted([*(name + "/" for name in folders), *files], key=name_order))


class _Bounded:
    """A file of which nobody reads more at once than a header may be long, whatever the archive says."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self.file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self.file.read(size)


def _open_tar(file: io.BufferedIOBase) -> tarfile.TarFile:
    """The archive in a file, its headers bounded."""
    bounded: Any = _Bounded(file)  # it reads, seeks and tells: all that is asked of a plain archive
    return tarfile.open(fileobj=bounded, mode="r:")


def _archive(path: Path, base: str) -> Iterator[UnlabelledPicture]:
    """The pictures in an archive; their names begin with ``base``."""
    try:
        with path.open("rb") as file, _open_tar(file) as archive:
            while (info := _next(archive)) is not None:
                picture = PurePosixPath(info.name).suffix.lower() in EXTENSIONS and _visible(info.name)
                if picture and info.isreg() and not info.issparse():
                    yield UnlabelledPicture(
                        as_text(f"{base}/{info.name}"), Member(path, info.name, info.offset_data, info.size)
                    )
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes a damaged header for the end
                raise tarfile.ReadError(f"a damaged header at byte {archive.offset}")
    except DataError:
        raise
    except Exception as error:  # headers are hostile bytes, too
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(f"{str(path)!r} is no sound tar archive ({named([reason])}); make it again.") from None


def _next(archive: Any) -> tarfile.TarInfo | None:
    """The next member of a ``TarFile``, which would keep each in memory, and go backwards where one says so."""
    before = -1 if archive.firstmember else archive.offset  # the first is read when the archive is opened
    info = archive.next()
    archive.members.clear()
    if info is not None and (info.size < 0 or archive.offset <= before):
        raise tarfile.ReadError("a member of negative size")
    return info


def _visible(name: str) -> bool:
    return not any(why_hidden(part) for part in PurePosixPath(name).parts)
