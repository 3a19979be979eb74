"""Pictures without labels, listed one after the other however many they are: a table, a folder's tree, tar archives.

``pictures.csv``  UTF-8 with a column ``path``; paths are relative to the table's folder and stay inside it
``folder/``       pictures and ``.tar`` archives in it at any depth, in the order of their names; links to folders are
                  not followed, hidden files and folders are left out
``pictures.tar``  its regular members that are named like pictures; nothing is unpacked, so names and links in it lead
                  nowhere. Compressed archives are refused: a stopped job could not go on in their middle

Listing again gives the same order. What is held in memory is the names in one folder, and its parents', at a time.
"""

from __future__ import annotations

import csv
import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from wingbar.data.checks import EXTENSIONS, is_hidden, listed_key, named
from wingbar.errors import DataError
from wingbar.images import Member

MAX_HEADER_BYTES = 1 << 20
"""Of one header in a tar archive: long names and attributes."""
COUNTED = EXTENSIONS | {".tar"}
PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".7z")


@dataclass(frozen=True, slots=True)
class Listed:
    """A picture found."""

    name: str
    """Relative to the folder that was given, or that the given file lies in; with forward slashes."""
    source: Path | Member


def listed(source: Path) -> Iterator[Listed]:
    """The pictures of a table, a folder or a tar archive. Raises ``DataError`` where it cannot be listed whole."""
    if source.is_dir():
        yield from _tree(source)
    elif source.suffix.lower() == ".csv":
        yield from _table(source)
    elif source.suffix.lower() == ".tar":
        yield from _archive(source, source.parent)
    elif not source.exists():
        raise DataError(f"{str(source)!r}: no such file or folder.")
    else:
        packed = " Unpack it to a .tar or to a folder." if source.suffix.lower() in PACKED else ""
        raise DataError(f"{str(source)!r} lists no pictures.{packed} Give a folder, a .csv or a .tar.")


def _text(name: str) -> str:
    """A name as text; bytes of it that are no UTF-8 become ``\\xff``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _tree(root: Path) -> Iterator[Listed]:
    open_folders = [(root, iter(_names(root)))]
    while open_folders:
        folder, names = open_folders[-1]
        name = next(names, None)
        if name is None:
            open_folders.pop()
        elif name.endswith("/"):
            open_folders.append((folder / name, iter(_names(folder / name))))
        elif name.lower().endswith(".tar"):
            yield from _archive(folder / name, root)
        else:
            yield Listed(_text((folder / name).relative_to(root).as_posix()), folder / name)


def _names(folder: Path) -> list[str]:
    """What counts in a folder, sorted; names of folders end with a slash."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries if _shown(entry.name)]
    except OSError as error:
        raise DataError(f"{str(folder)!r} cannot be listed ({error.strerror}); make it readable or move it.") from None
    return sorted(name for name in found if name.endswith("/") or PurePosixPath(name).suffix.lower() in COUNTED)


def _shown(name: str) -> bool:
    return not any(is_hidden(Path(part)) for part in PurePosixPath(name).parts)


def _table(file: Path) -> Iterator[Listed]:
    line = 1
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            columns = [column.strip().lower() for column in next(reader, [])]
            if columns.count("path") != 1:
                raise ValueError(f"one column must be called 'path', but there are {named(columns) or 'none'}")
            place = columns.index("path")
            for fields in reader:
                line = reader.line_num
                if not fields:
                    continue
                if len(fields) != len(columns):
                    raise ValueError(f"{len(fields)} fields, but {len(columns)} columns (quote values with commas)")
                key = listed_key(fields[place].strip())
                yield Listed(key, file.parent / key)
    except UnicodeDecodeError:
        raise DataError(f"{str(file)!r}, after line {line}: no UTF-8. Save it as comma-separated UTF-8.") from None
    except csv.Error as error:
        where = f"{str(file)!r}, after line {line}"
        raise DataError(f"{where}: {error}. Save it as plain comma-separated text.") from None
    except ValueError as error:
        raise DataError(f"{str(file)!r}, line {line}: {error}. Correct or remove that line.") from None
    except OSError as error:
        raise DataError(f"{str(file)!r} cannot be read ({error.strerror}).") from None


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


def _archive(path: Path, root: Path) -> Iterator[Listed]:
    base = path.relative_to(root).as_posix()
    try:
        with path.open("rb") as file, _open_tar(file) as archive:
            while (info := _next(archive)) is not None:
                picture = PurePosixPath(info.name).suffix.lower() in EXTENSIONS and _shown(info.name)
                if picture and info.isreg() and not info.issparse():
                    yield Listed(_text(f"{base}/{info.name}"), Member(path, info.name, info.offset_data, info.size))
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
