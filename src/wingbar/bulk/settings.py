"""What is asked of many pictures: the same of a job, which ends, and of a watch, which does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wingbar._system.files import digest
from wingbar.bulk.answers import Format, require
from wingbar.errors import ConfigError
from wingbar.images import Source
from wingbar.model.card import Card
from wingbar.opam.place import class_weights
from wingbar.prediction import ACCURACY, Prediction
from wingbar.recognizer import Only, Prior, Recognizer, Views


@dataclass(frozen=True)
class BulkSettings:
    """How pictures are answered, and into what files. Raises ConfigError for an impossible setting."""

    form: Format = "jsonl"
    size: int = 1000
    """Answers a file."""
    top: int = 5
    """Likeliest classes of each picture."""
    views: Views = "all"
    """See `Recognizer.predict`, as for ``only`` and ``prior``."""
    accuracy: float = ACCURACY
    """See `Prediction.answer`."""
    only: Only = None
    prior: Prior = None

    def __post_init__(self) -> None:
        """Check what needs no model."""
        require(self.form)
        if self.size < 1 or self.top < 1:
            raise ConfigError(f"chunk_size is {self.size} and top is {self.top}; both must be at least 1.")

    def key(self, card: Card, *kind: str) -> str:
        """What answers depend on beside their pictures. Raises ConfigError for a class that the model does not know."""
        place = class_weights(card.classes, self.only, self.prior)
        return digest(card.digest(), self.top, self.views, self.accuracy, *kind, *([place] if place else []))

    def predict(self, recognizer: Recognizer, pictures: Iterable[Source], batch_size: int) -> Iterator[Prediction]:
        """`Recognizer.predict_many` by these settings."""
        return recognizer.predict_many(pictures, batch_size, views=self.views, only=self.only, prior=self.prior)


PLAIN = BulkSettings()
