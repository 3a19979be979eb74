"""What a model keeps of its training pictures: two hashes of each, and which of them no net has learnt from.

The hashes are the beginning of the file's SHA-256 and 255 bits of its look (`data.duplicates`). So a copy is found
though it was re-encoded, shrunk, brightened or hardly cropped. Whoever gives a model away may remove the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray

from wingbar.data.duplicates import BITS, DIGEST
from wingbar.model.folder import Model, misstated
from wingbar.model.save import SEEN


@dataclass(frozen=True, eq=False)
class Seen:
    """Of each training picture, in no order of theirs."""

    digests: UInt8[ndarray, "n bytes"]
    bits: UInt8[ndarray, "n packed"]
    held: Bool[ndarray, "n"]
    """Whether it was held out of the training, for choices."""
    key: str
    """Checksum of all that."""

    def learnt(self) -> set[bytes]:
        """Digests of the pictures that nets have learnt from."""
        return {row.tobytes() for row in self.digests[~self.held]}

    def held_out(self) -> set[bytes]:
        """Digests of those that were held out."""
        return {row.tobytes() for row in self.digests[self.held]}


def digest_of(path: Path) -> bytes:
    """The beginning of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()[:DIGEST]


def with_held(copies: Mapping[str, ndarray], held: Iterable[Path]) -> dict[str, ndarray]:
    """The arrays that a model keeps: hashes of its pictures, and which of them were ``held`` out."""
    digests = {digest_of(path) for path in held}
    return {**copies, "held": np.array([row.tobytes() in digests for row in copies["digests"]], bool)}


def seen_by(model: Model) -> Seen | None:
    """What a model keeps of its training pictures; None for nothing, or where it was removed. Raises RunError."""
    if "seen" not in model.card.sha256 or not (model.folder / SEEN).exists():
        return None
    with misstated(model.card_file):
        arrays = model.arrays("seen")
        digests, bits, held = arrays["digests"], arrays["bits"], arrays["held"]
        if digests.dtype != np.uint8 or bits.dtype != np.uint8 or len(digests) != len(bits):
            raise ValueError("what seen.safetensors holds")
        if digests.shape[1:] != (DIGEST,) or bits.shape[1:] != ((BITS + 7) // 8,):
            raise ValueError("what seen.safetensors holds")
        if held.dtype != bool or held.shape != (len(digests),):
            raise ValueError("what seen.safetensors holds")
        return Seen(digests, bits, held, model.card.sha256["seen"])
