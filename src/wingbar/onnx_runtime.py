"""Runs an exported model by ONNX Runtime: the same answers without torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float32, UInt8
from numpy import ndarray

from wingbar.errors import RunError
from wingbar.model import Model
from wingbar.names import printable
from wingbar.runtime import Look
from wingbar.shortage import WORDS

REMEDY = "make it with `wingbar export RUN --out DIR` and give DIR"


class OnnxRuntime:
    """The ONNX files of an export (`wingbar export`), each checked against its checksum."""

    def __init__(self, model: Model) -> None:
        """Raises RunError where a file is missing, damaged or another model's, or ONNX Runtime is not installed."""
        try:
            import onnxruntime
        except ImportError:
            raise RunError("ONNX Runtime is not installed; get it: pip install 'wingbar[export]'.") from None
        known = model.card.get("onnx", {})
        files = {name: model.content(f"{name}.onnx", known.get(name, ""), REMEDY) for name in model.card["streams"]}
        self.folder = model.folder
        self.sessions: dict[str, Any] = {}
        for name, content in files.items():
            try:
                self.sessions[name] = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
            except Exception as error:
                raise self._told(name, error) from None

    def look(self, squares: UInt8[ndarray, "batch 3 side side"]) -> Look:
        """See `Runtime.look`."""
        return Look(*self._run("picture", Look._fields, squares))

    def judge(self, stream: str, squares: UInt8[ndarray, "batch 3 side side"]) -> Float32[ndarray, "batch outputs"]:
        """See `Runtime.judge`."""
        return self._run(stream, ("logits",), squares)[0]

    def _run(self, name: str, outputs: Sequence[str], squares: ndarray) -> list[ndarray]:
        try:
            return self.sessions[name].run(list(outputs), {"pixels": squares})
        except Exception as error:
            if WORDS.search(str(error)):
                raise MemoryError(str(error)) from None
            raise self._told(name, error) from None

    def _told(self, name: str, error: Exception) -> RunError:
        """What ONNX Runtime raises, which has no base but Exception, in our words."""
        return RunError(f"{self.folder / name}.onnx: cannot be run ({printable(str(error))}); {REMEDY}.")
