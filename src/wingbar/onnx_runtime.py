"""Runs an exported model by ONNX Runtime: the same answers without torch."""

from __future__ import annotations

import hashlib

from jaxtyping import Float32, UInt8
from numpy import ndarray

from wingbar.errors import RunError
from wingbar.model import Model
from wingbar.runtime import Look


class OnnxRuntime:
    """The ONNX files of an export (`wingbar export`), each checked against its checksum."""

    def __init__(self, model: Model) -> None:
        """Raises RunError where a file is missing, damaged or another model's, or ONNX Runtime is not installed."""
        try:
            import onnxruntime
        except ImportError:
            raise RunError("ONNX Runtime is not installed; get it: pip install 'wingbar[export]'.") from None
        self.sessions = {
            name: onnxruntime.InferenceSession(_content(model, name), providers=["CPUExecutionProvider"])
            for name in model.card["streams"]
        }

    def look(self, squares: UInt8[ndarray, "batch 3 side side"]) -> Look:
        """See `Runtime.look`."""
        return Look(*self.sessions["picture"].run(list(Look._fields), {"pixels": squares}))

    def judge(self, stream: str, squares: UInt8[ndarray, "batch 3 side side"]) -> Float32[ndarray, "batch outputs"]:
        """See `Runtime.judge`."""
        return self.sessions[stream].run(["logits"], {"pixels": squares})[0]


def _content(model: Model, name: str) -> bytes:
    path = model.folder / f"{name}.onnx"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}; make it with `wingbar export RUN --out DIR` and give DIR.") from None
    if hashlib.sha256(content).hexdigest() != model.card["onnx"][name]:
        raise RunError(f"{path}: damaged or of another model (checksum); export it again.")
    return content
