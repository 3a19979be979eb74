"""A folder that is watched: each picture that comes is answered once, also after a kill or a power cut.

OUT/000000-3fa41c02b7de.jsonl  answers in the order in which the pictures came; the last file grows to its full size
OUT/lock                       the lock of the process that writes

A file is written anew, whole, whenever it grows (`wingbar._system.files.write_bytes`). So what the files say is all
that a watch has to remember: a picture is answered if they have an answer for its name and its number of bytes. A file
of the same name that another number of bytes came to is another picture, and is answered again.

A picture that is still being copied is waited for: it is answered once two looks, `EVERY` seconds apart, have found it
with the same size and time of change. A picture that is gone or has changed by the time it is read, and could not be
read, is not noted but looked for again; one that could not be read and changes later is answered anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wingbar._system.files import write_bytes, writing
from wingbar._system.locks import locked
from wingbar._system.text import several, visible
from wingbar.bulk.answers import Row, decode, encode
from wingbar.bulk.chunks import CHUNK, chunk, cut, number_of
from wingbar.bulk.settings import PLAIN, BulkSettings
from wingbar.data.folders import Tally
from wingbar.data.listing import as_text, pictures_in
from wingbar.errors import DataError, RunError
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer

logger = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks at the folder; ten times what a look takes where that is more."""

AT_ONCE = 100
"""Answers between two writings, at most: what a power cut loses."""

Stamp = tuple[int, int]
"""A file's bytes and its time of change in nanoseconds."""
Wait = Callable[[float], bool]
"""Waits so many seconds, or shorter if asked to stop; says whether it was asked. `threading.Event.wait` is one."""


class Watch:
    """Answers the pictures of a folder as they come."""

    def __init__(self, recognizer: Recognizer, folder: Path, out: Path, settings: BulkSettings = PLAIN) -> None:
        """Raises DataError where ``folder`` is none, ConfigError for a class that the model does not know."""
        if not folder.is_dir():
            raise DataError(f"{str(folder)!r} is no folder, and only a folder can be watched: give one.")
        self.recognizer, self.folder, self.out, self.settings = recognizer, folder, out, settings
        self.key = settings.key(recognizer.card, "watch")
        self.answered: set[tuple[str, int]] = set()
        """Name and bytes of each picture that has an answer."""
        self._unreadable: dict[Path, Stamp] = {}
        """What could not be read since the start, as it was then."""
        self._number, self._rows = 0, list[Row]()

    def run(self, wait: Wait, batch_size: int = 16) -> Iterator[Prediction]:
        """Answer what is there and what comes, until ``wait`` says that it was asked to stop.

        A prediction is yielded once its answer is written. A folder that cannot be listed for a while, as one of
        another machine, is told in the log and waited for.

        Raises RunError where the answers cannot be written, another process is at work in their folder, or it has
        answers of another job.
        """
        with locked(self.out):
            self._read_answers()
            before: dict[Path, Stamp] = {}
            while True:
                began = time.monotonic()
                now = self._look()
                took = time.monotonic() - began
                steady = [path for path, stamp in (now or {}).items() if before.get(path) == stamp]
                for paths in cut(steady, AT_ONCE):
                    yield from self._answer(paths, before, batch_size, wait)
                    if wait(0):
                        return
                before = before if now is None else now
                if wait(max(EVERY, 10 * took)):
                    return

    def name_of(self, path: Path) -> str:
        """A picture's name in the answers: its path within the folder."""
        return as_text(path.relative_to(self.folder).as_posix())

    def _look(self) -> dict[Path, Stamp] | None:
        """The pictures without an answer; None where the folder cannot be listed."""
        waiting = {}
        try:
            for path in pictures_in(self.folder, Tally()):
                stamp = _stamp(path)
                if stamp is not None and self._waits(path, stamp):
                    waiting[path] = stamp
        except DataError as error:
            logger.warning("%s It is tried again.", error)
            return None
        return waiting

    def _waits(self, path: Path, stamp: Stamp) -> bool:
        """Whether a picture has no answer, or could not be read and has changed since.

        Some copiers make a file of its full size before they fill it.
        """
        return (self.name_of(path), stamp[0]) not in self.answered or self._unreadable.get(path, stamp) != stamp

    def _answer(
        self, paths: Sequence[Path], stamps: dict[Path, Stamp], batch_size: int, wait: Wait
    ) -> Iterator[Prediction]:
        """Predict pictures, write their answers and yield them; fewer than all when asked to stop."""
        fresh: list[tuple[Row, Prediction]] = []
        asked = self.settings
        for path, prediction in zip(paths, asked.predict(self.recognizer, paths, batch_size), strict=True):
            self._unreadable.pop(path, None)
            if prediction.error is None or _stamp(path) == stamps[path]:
                named = replace(prediction, path=self.name_of(path))
                fresh.append(({**named.to_dict(asked.top, asked.accuracy), "bytes": stamps[path][0]}, named.lean()))
                if prediction.error is not None:
                    self._unreadable[path] = stamps[path]
            if wait(0):
                break
        self._write([row for row, _ in fresh])
        for _, prediction in fresh:
            yield prediction

    def _write(self, rows: Sequence[Row]) -> None:
        """Add rows to the last file, and to new ones where it is full."""
        waiting = list(rows)
        while waiting:
            if len(self._rows) >= self.settings.size:
                self._number, self._rows = self._number + 1, []
            room = self.settings.size - len(self._rows)
            self._rows += waiting[:room]
            write_bytes(self.out / self._file(self._number), encode(self._rows, self.settings.form))
            self.answered.update((row["path"], row["bytes"]) for row in waiting[:room])
            waiting = waiting[room:]

    def _file(self, number: int) -> str:
        return chunk(number, (), self.key, self.settings.form).file

    def _read_answers(self) -> None:
        numbered = sorted(
            (number_of(path.name), path.name) for path in self.out.iterdir() if CHUNK.fullmatch(path.name)
        )
        if foreign := [name for number, name in numbered if name != self._file(number)]:
            raise RunError(
                f"{self.out}: {foreign[0]} ({several(len(foreign), 'such file')}) was not written by a watch, or by "
                "one with another model or other settings. Choose another --out, or remove them."
            )
        for number, name in numbered:
            self._number, self._rows = number, self._rows_of(self.out / name)
            self.answered.update((row["path"], row["bytes"]) for row in self._rows)

    def _rows_of(self, file: Path) -> list[Row]:
        """The rows of a file. A damaged one is set aside, so that its pictures are answered again."""
        try:
            rows = decode(file.read_bytes(), self.settings.form)
            if all(isinstance(row.get("bytes"), int) for row in rows):
                return rows
        except (OSError, ValueError):
            pass
        logger.warning("%s is damaged: it is set aside, and its pictures are answered again.", visible(str(file)))
        with writing(file):
            file.rename(file.with_name(f"{file.name}.damaged"))
        return []


def _stamp(path: Path) -> Stamp | None:
    """A file's stamp; None where it is gone, or no regular file."""
    try:
        if not path.is_file():
            return None
        status: Any = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
