"""Prediction of very many pictures into chunks, which are written completely or not at all; a stopped job resumes.

OUT/000000-3fa41c02b7de.jsonl  answers to the first pictures in the order in which they are listed; and so on
OUT/strangers.json             at the end: the pictures that show none of the classes, by what they look most like
OUT/lock                       the lock of the process that writes

The pictures are listed twice. The first pass reads their names only, to count them and to find the chunks that exist
(see `wingbar.bulk.chunks`). The second pass predicts the pictures of each missing chunk by `Recognizer.predict_many`.
Memory holds the names and the answers of one chunk, and what `predict_many` holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from wingbar._system.files import write_bytes, write_json
from wingbar._system.locks import locked
from wingbar._system.text import several
from wingbar.bulk.answers import encode, errors, strangers
from wingbar.bulk.chunks import Chunk, chunk, cut, foreign_chunks
from wingbar.bulk.settings import PLAIN, BulkSettings
from wingbar.data.folders import PassOver, Tally
from wingbar.data.listing import UnlabelledPicture, listed
from wingbar.errors import DataError, RunError
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer


class BulkJob:
    """A job of predicting pictures into the chunks of a folder. The constructor lists pictures and existing chunks."""

    def __init__(
        self,
        recognizer: Recognizer,
        source: Path,
        out: Path,
        settings: BulkSettings = PLAIN,
        images_root: Path | None = None,
    ) -> None:
        """A table's paths start at ``images_root``.

        Raises DataError where the pictures cannot be listed, RunError where ``out`` has chunks of another job,
        ConfigError for a class that the model does not know.
        """
        self.recognizer, self.source, self.out, self.settings = recognizer, source, out, settings
        self.images_root = images_root
        self.passed_over = Tally()
        """What was left out when the pictures were listed."""
        self.key = settings.key(recognizer.card)
        self.plan = tuple(planned for planned, _ in self._chunks(self.passed_over))
        if not self.plan:
            raise DataError(f"{str(source)!r}: no pictures in it.")
        self._refuse_foreign_chunks()
        counts = {planned: self._unreadable_in(planned) for planned in self.plan}
        self.unreadable = {planned: count for planned, count in counts.items() if count is not None}
        """Of the chunks that were there already: how many pictures could not be read."""

    @property
    def total(self) -> int:
        """Pictures listed."""
        return sum(planned.count for planned in self.plan)

    @property
    def answered(self) -> int:
        """Pictures answered already, in the chunks that were there."""
        return sum(there.count for there in self.unreadable)

    def run(self, batch_size: int = 16) -> Iterator[Prediction]:
        """Predict all other pictures and yield their answers as they come; each chunk is written after its last answer.

        Raises DataError where the pictures are no longer those listed at first, RunError where the folder cannot be
        written to or another process is at work in it.
        """
        with locked(self.out):
            for planned, (current, items) in zip(self.plan, self._chunks(), strict=True):
                if current != planned:
                    raise DataError(
                        f"{str(self.source)!r} has changed since it was listed; run the same command again."
                    )
                if planned not in self.unreadable:
                    yield from self._predicted(planned, items, batch_size)

    def list_strangers(self) -> dict[str, list[dict[str, Any]]]:
        """The pictures of all chunks that are taken for none of the classes, written to ``strangers.json``.

        By the class that they look most like, of which most comes first; of each ``path`` and ``known``, the strangest
        first. Raises RunError where the folder cannot be written to.
        """
        groups: dict[str, list[dict[str, Any]]] = {}
        for planned in self.plan:
            for row in strangers((self.out / planned.file).read_bytes(), self.settings.form):
                groups.setdefault(row["label"], []).append({"path": row["path"], "known": row["known"]})
        ranked = {
            label: sorted(rows, key=lambda row: (row["known"], row["path"]))
            for label, rows in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
        }
        write_json(self.out / "strangers.json", ranked)
        return ranked

    def _chunks(self, pass_over: PassOver | None = None) -> Iterator[tuple[Chunk, list[UnlabelledPicture]]]:
        for number, items in enumerate(cut(listed(self.source, self.images_root, pass_over), self.settings.size)):
            yield chunk(number, [item.name for item in items], self.key, self.settings.form), items

    def _predicted(self, planned: Chunk, items: list[UnlabelledPicture], batch_size: int) -> Iterator[Prediction]:
        rows, asked = [], self.settings
        predictions = asked.predict(self.recognizer, (item.source for item in items), batch_size)
        for item, prediction in zip(items, predictions, strict=True):
            rows.append(replace(prediction, path=item.name).to_dict(asked.top, asked.accuracy))
            if len(rows) == planned.count:
                write_bytes(self.out / planned.file, encode(rows, asked.form))
            yield prediction

    def _unreadable_in(self, planned: Chunk) -> int | None:
        """How many pictures of a chunk could not be read; None where it is not there, or damaged."""
        try:
            reasons = errors((self.out / planned.file).read_bytes(), self.settings.form)
        except (OSError, ValueError, AttributeError):
            return None
        return sum(reason is not None for reason in reasons) if len(reasons) == planned.count else None

    def _refuse_foreign_chunks(self) -> None:
        files = foreign_chunks((path.name for path in self.out.iterdir()), self.plan) if self.out.is_dir() else []
        if files:
            raise RunError(
                f"{self.out}: {files[0]} ({several(len(files), 'such file')}) answers other pictures, or by another "
                "model or other settings. Choose another --out, or remove them."
            )
