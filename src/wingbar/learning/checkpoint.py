"""The state of a training in one safetensors file with a checksum, without pickle, written completely or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from wingbar._system.files import write_bytes
from wingbar.errors import RunError


@dataclass(frozen=True)
class Checkpoint:
    """The file that holds the state of the training ``key`` between epochs."""

    path: Path
    key: str

    def write(self, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
        """Write ``tensors`` and ``info``, which JSON can hold. Raises RunError where the file cannot be written."""
        plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        text = json.dumps(info)
        write_bytes(self.path, save(plain, metadata={"info": text, "sha256": self._checksum(plain, text)}))

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The tensors and the info that were written; None without a file.

        Raises RunError for a damaged file, or for that of another training.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                names = file.keys()
                tensors = {name: file.get_tensor(name) for name in names}
                metadata = file.metadata()
            if metadata["sha256"] != self._checksum(tensors, metadata["info"]):
                raise ValueError("its checksum does not hold")
            return tensors, json.loads(metadata["info"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{self.path}: damaged, or another training's ({error})") from None

    def _checksum(self, tensors: dict[str, Tensor], text: str) -> str:
        return hashlib.sha256(json.dumps([self.key, text]).encode() + save(tensors)).hexdigest()
