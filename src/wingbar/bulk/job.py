"""A million pictures: answers stream into shards, each written whole or not at all, and a stopped job goes on.

OUT/000000-3fa41c02b7de.jsonl  answers to the first pictures in the order in which they are listed; and so on
OUT/lock                       who is at work here

The pictures are listed twice. The first time their names alone are read, to know how many they are and which shards are
there (see `wingbar.bulk.chunks`); then those of each missing shard are predicted by `Recognizer.predict_many`. In
memory are one shard's names and answers, and what `predict_many` holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from wingbar._system.files import digest, write_bytes
from wingbar._system.locks import locked
from wingbar.bulk.answers import Format, encode, errors, require
from wingbar.bulk.chunks import Shard, cut, shard, strangers
from wingbar.data.folders import PassOver, Tally
from wingbar.data.listing import Listed, listed
from wingbar.errors import ConfigError, DataError, RunError
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer


class Job:
    """Pictures to be predicted into the shards of a folder. Making one lists them, and finds the shards there are."""

    def __init__(
        self,
        recognizer: Recognizer,
        source: Path,
        out: Path,
        form: Format = "jsonl",
        size: int = 1000,
        top: int = 5,
        images_root: Path | None = None,
    ) -> None:
        """``size`` pictures a shard, of each the ``top`` likeliest classes; a table's paths start at ``images_root``.

        Raises DataError where the pictures cannot be listed, RunError where ``out`` has shards of another job,
        ConfigError for an impossible setting.
        """
        require(form)
        if size < 1 or top < 1:
            raise ConfigError(f"shard_size is {size} and top is {top}; both must be at least 1.")
        self.recognizer, self.source, self.out, self.form, self.size, self.top = (
            recognizer, source, out, form, size, top,
        )  # fmt: skip
        self.images_root = images_root
        self.passed_over = Tally()
        """What was left out when the pictures were listed."""
        self.key = digest(recognizer.card.digest(), top)
        self.plan = tuple(one for one, _ in self._shards(self.passed_over))
        if not self.plan:
            raise DataError(f"{str(source)!r}: no pictures in it.")
        self._refuse_strangers()
        self.unreadable = {one: bad for one in self.plan if (bad := self._kept(one)) is not None}
        """Of the shards that were there already: how many pictures could not be read."""

    @property
    def total(self) -> int:
        """Pictures listed."""
        return sum(one.count for one in self.plan)

    @property
    def kept(self) -> int:
        """Pictures answered already, in the shards that were there."""
        return sum(one.count for one in self.unreadable)

    def run(self, batch_size: int = 16) -> Iterator[Prediction]:
        """The answers to all other pictures, as they come; a shard is written with the last of its answers.

        Raises DataError where the pictures are no longer those listed at first, RunError where the folder cannot be
        written to or another process is at work in it.
        """
        with locked(self.out):
            for planned, (one, items) in zip(self.plan, self._shards(), strict=True):
                if one != planned:
                    raise DataError(
                        f"{str(self.source)!r} has changed since it was listed; run the same command again."
                    )
                if one not in self.unreadable:
                    yield from self._predicted(one, items, batch_size)

    def _shards(self, pass_over: PassOver | None = None) -> Iterator[tuple[Shard, list[Listed]]]:
        for number, items in enumerate(cut(listed(self.source, self.images_root, pass_over), self.size)):
            yield shard(number, [item.name for item in items], self.key, self.form), items

    def _predicted(self, one: Shard, items: list[Listed], batch_size: int) -> Iterator[Prediction]:
        rows = []
        predictions = self.recognizer.predict_many((item.source for item in items), batch_size)
        for item, prediction in zip(items, predictions, strict=True):
            rows.append(replace(prediction, path=item.name).to_dict(self.top))
            if len(rows) == one.count:
                write_bytes(self.out / one.file, encode(rows, self.form))
            yield prediction

    def _kept(self, one: Shard) -> int | None:
        """How many pictures of a shard could not be read; None where it is not there, or damaged."""
        try:
            found = errors((self.out / one.file).read_bytes(), self.form)
        except (OSError, ValueError, AttributeError):
            return None
        return sum(error is not None for error in found) if len(found) == one.count else None

    def _refuse_strangers(self) -> None:
        found = strangers((path.name for path in self.out.iterdir()), self.plan) if self.out.is_dir() else []
        if found:
            raise RunError(
                f"{self.out}: {found[0]} ({len(found)} such files) answers other pictures, or by another model or "
                "other settings. Choose another --out, or remove them."
            )
