"""Runs an exported model by ONNX Runtime: the same answers without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from wingbar._system.memory import OUT_OF_MEMORY
from wingbar._system.text import printable
from wingbar.errors import RunError
from wingbar.model._onnx import import_onnxruntime
from wingbar.model.card import VIEWS
from wingbar.model.folder import Model
from wingbar.model.runtime import PictureOutput, ViewOutput

REMEDY = "make it with `wingbar export RUN --out DIR` and give DIR"


class OnnxRuntime:
    """The ONNX files of an export (`wingbar export`), each checked against its checksum."""

    def __init__(self, model: Model) -> None:
        """Raises RunError where a file is missing, damaged or another model's, or ONNX Runtime is not installed."""
        try:
            onnxruntime = import_onnxruntime()
        except ImportError:
            raise RunError("ONNX Runtime is not installed; get it: pip install 'wingbar[export]'.") from None
        known, graphs = model.card.onnx, model.card.graphs
        files = {name: model.content(f"{name}.onnx", known.get(name, ""), REMEDY) for name in graphs}
        self.folder, self.has_parts = model.folder, model.card.has_parts
        self.sessions: dict[str, Any] = {}
        for name, content in files.items():
            try:
                self.sessions[name] = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
            except Exception as error:
                raise self._refusal(name, error) from None

    def picture(self, squares: UInt8[ndarray, "batch 3 side side"]) -> PictureOutput:
        """See `Runtime.picture`."""
        if self.has_parts:
            return PictureOutput(*self._run("picture", PictureOutput._fields, squares))
        evidence, logits, corners, features = self._run("picture", PictureOutput._fields[:-1], squares)
        return PictureOutput(evidence, logits, corners, features, np.zeros((len(squares), 0, 1, 1), np.float32))

    def crops(self, stream: str, squares: UInt8[ndarray, "batch 3 side side"]) -> Float32[ndarray, "batch outputs"]:
        """See `Runtime.crops`."""
        return self._run(stream, ("logits",), squares)[0]

    def views(self, squares: UInt8[ndarray, "batch 3 side side"]) -> ViewOutput:
        """See `Runtime.views`."""
        return ViewOutput(*self._run(VIEWS, ViewOutput._fields, squares))

    def _run(self, name: str, outputs: Sequence[str], squares: ndarray) -> list[ndarray]:
        try:
            return self.sessions[name].run(list(outputs), {"pixels": squares})
        except Exception as error:
            if OUT_OF_MEMORY.search(str(error)):
                raise MemoryError(str(error)) from None
            raise self._refusal(name, error) from None

    def _refusal(self, name: str, error: Exception) -> RunError:
        """What ONNX Runtime raises, which has no base but Exception, in our words."""
        return RunError(f"{self.folder / name}.onnx: cannot be run ({printable(str(error))}); {REMEDY}.")
