"""Listing of folders of pictures, the same for all readers: what is read, and what is passed over, with the reason.

Passed over are hidden files and folders (their names begin with a dot), what systems leave behind (`SYSTEM_NAMES`),
folders that Wingbar wrote, and links to folders that are read in their own place or that hold the link itself. Links
to other folders are followed. A folder that may not be listed is an error: nobody knows what is in it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from wingbar._system.files import is_output
from wingbar._system.text import nfc
from wingbar.data.sample import Skipped
from wingbar.errors import DataError

SYSTEM_NAMES = frozenset(
    ("__macosx", "@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot", "~snapshot",
     "$recycle.bin", "system volume information", "network trash folder", "temporary items", "lost+found",
     "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")
)  # fmt: skip
"""Files and folders, in lower case, that macOS, Windows, Linux and network storage add to those of users."""

PassOver = Callable[[Path, str], None]
"""Is called with each path that is passed over, and the reason."""


class Tally:
    """Counts the paths that are passed over, by reason, and remembers the first few of each."""

    def __init__(self, listed: int = 1) -> None:
        self.listed = listed
        self._first: dict[str, list[Path]] = {}
        self._count: dict[str, int] = {}

    def __call__(self, path: Path, reason: str) -> None:
        """Count one path."""
        self._count[reason] = self._count.get(reason, 0) + 1
        first = self._first.setdefault(reason, [])
        if len(first) < self.listed:
            first.append(path)

    def lines(self, verb: str = "passed over") -> list[str]:
        """A line for each path of a reason that has few, and one line for all the others of that reason."""
        lines = []
        for reason, count in self._count.items():
            first = self._first[reason]
            lines += [f"{verb} {str(path)!r}: {reason}" for path in first]
            if count > len(first):
                lines.append(f"{verb} {count - len(first)} more: {reason}")
        return lines


def skipped_lines(skipped: Iterable[Skipped], listed: int = 3) -> list[str]:
    """What a data set left out, as lines for people: a few of each reason by name, the rest counted."""
    tally = Tally(listed)
    for item in skipped:
        tally(item.path, item.reason)
    return tally.lines("skipped")


def why_hidden(name: str) -> str | None:
    """Why a file or folder of this name is passed over; None where it is not."""
    if name.startswith("."):
        return "hidden file"
    return "written by the system" if name.lower() in SYSTEM_NAMES else None


def require_utf8(name: str) -> None:
    """Raises DataError for a name that this Python does not read as UTF-8: it would be another class's."""
    encoding = sys.getfilesystemencoding()
    if not name.isascii() and encoding.lower() != "utf-8":
        raise DataError(
            f"{name!r}: this Python takes the names of files for {encoding}, and Wingbar's are UTF-8. "
            "Start it in UTF-8 mode: python -X utf8, or with the environment variable PYTHONUTF8=1."
        )


def name_order(name: str) -> tuple[str, str]:
    """The order of names: the same whichever way a system writes accents."""
    return nfc(name), name


class Walk:
    """Lists the folders of one tree, each once. ``pass_over`` is called for every path that is left out."""

    def __init__(self, root: Path, pass_over: PassOver) -> None:
        self.root, self.pass_over = root.resolve(), pass_over
        self._followed: set[Path] = set()

    def entries(self, folder: Path) -> tuple[list[str], list[str]]:
        """The names of a folder's sub-folders and of its other files, each in order.

        Raises DataError where the folder cannot be listed.
        """
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: name_order(entry.name)):
                    reason = why_hidden(entry.name) or self._why_no_folder(entry)
                    if reason is not None:
                        self.pass_over(Path(entry.path), reason)
                    else:
                        require_utf8(entry.name)
                        (folders if _is_folder(entry) else files).append(entry.name)
        except OSError as error:
            raise DataError(
                f"{str(folder)!r} cannot be read: {error.strerror}. Make the folder readable, or move it away."
            ) from None
        return folders, files

    def _why_no_folder(self, entry: os.DirEntry[str]) -> str | None:
        """Why a folder, or a link to one, is passed over; None for other files."""
        path = Path(entry.path)
        if not _is_folder(entry):
            # Links to folders are named without a suffix.
            dangling = entry.is_symlink() and not path.suffix and not os.path.exists(path)  # noqa: PTH110 # may raise
            return "a link that leads nowhere" if dangling else None
        if is_output(path):
            return "written by Wingbar"
        return self._why_not_followed(path) if entry.is_symlink() else None

    def _why_not_followed(self, link: Path) -> str | None:
        target, place = link.resolve(), link.parent.resolve()
        if place.is_relative_to(target) or self.root.is_relative_to(target):
            return "a link to a folder that holds it"
        if target.is_relative_to(self.root) and not any(map(why_hidden, target.relative_to(self.root).parts)):
            return "a link to a folder that is read in its own place"
        if not self._followed.isdisjoint((target, *target.parents)):
            return "a second link to the same folder"
        self._followed.add(target)
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


@dataclass(slots=True)
class Folder:
    """A folder and all that is below it."""

    path: Path
    folders: list[Folder] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The folder's name, in the one spelling that names are compared in."""
        return nfc(self.path.name)

    def below(self) -> Iterable[Folder]:
        """The folder itself and all folders below it, in order."""
        yield self
        for folder in self.folders:
            yield from folder.below()


MAX_DEPTH = 40
"""Folders within each other; no data set is deeper, and no walk goes on for ever."""


def read_tree(root: Path, pass_over: PassOver) -> Folder:
    """A folder with all folders below it. Raises DataError where one cannot be listed."""
    walk = Walk(root, pass_over)
    tree = Folder(root)
    waiting = [(tree, 0)]
    while waiting:
        folder, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise DataError(f"{str(folder.path)!r}: more than {MAX_DEPTH} folders within each other. Give one of them.")
        folders, files = walk.entries(folder.path)
        folder.folders = [Folder(folder.path / name) for name in folders]
        folder.files = [folder.path / name for name in files]
        waiting += [(inner, depth + 1) for inner in reversed(folder.folders)]
    return tree


class Finder:
    """Finds files below a folder by their listed names, whichever way the file system writes accents.

    Where no name is the same, one that differs by case alone will do: a list from macOS or Windows, where it is the
    same file, is read on Linux too.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[Path, dict[str, list[str]]] = {}

    def path(self, key: str) -> Path:
        """The file that ``key`` (relative, forward slashes) names, or would name if it were there."""
        require_utf8(key)
        path = self.root / key
        if os.path.lexists(path):
            return path
        path = self.root
        for part in PurePosixPath(key).parts:
            path = path / self._spelling(path, part)
        return path

    def _spelling(self, folder: Path, part: str) -> str:
        if os.path.lexists(folder / part):
            return part
        if folder not in self._names:
            self._names[folder] = {}
            with suppress(OSError):
                for path in folder.iterdir():
                    self._names[folder].setdefault(nfc(path.name).casefold(), []).append(path.name)
        alike = self._names[folder].get(nfc(part).casefold(), [])
        same = [name for name in alike if nfc(name) == nfc(part)] or alike
        return same[0] if len(same) == 1 else part
