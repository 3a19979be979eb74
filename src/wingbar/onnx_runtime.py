"""Runs an exported model by ONNX Runtime: the same answers without torch."""

from __future__ import annotations

from jaxtyping import Float32, UInt8
from numpy import ndarray

from wingbar.errors import RunError
from wingbar.model import Model
from wingbar.runtime import Look

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
        self.sessions = {
            name: onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
            for name, content in files.items()
        }

    def look(self, squares: UInt8[ndarray, "batch 3 side side"]) -> Look:
        """See `Runtime.look`."""
        return Look(*self.sessions["picture"].run(list(Look._fields), {"pixels": squares}))

    def judge(self, stream: str, squares: UInt8[ndarray, "batch 3 side side"]) -> Float32[ndarray, "batch outputs"]:
        """See `Runtime.judge`."""
        return self.sessions[stream].run(["logits"], {"pixels": squares})[0]
