"""ONNX Runtime, which every part of Wingbar gets from here: it tells nobody anything.

Its builds since 1.29 write an identifier of the machine below HOME and send events to Microsoft, unless
``ORT_DISABLE_TELEMETRY=1`` is set before it starts (its Privacy.md). A value that the user has set stays.
"""

from __future__ import annotations

import os
from types import ModuleType


def import_onnxruntime() -> ModuleType:
    """The package ``onnxruntime``, with its telemetry off. Raises ImportError where it is not installed."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def import_quantization() -> ModuleType:
    """The package ``onnxruntime.quantization``, which needs ``onnx`` too."""
    import_onnxruntime()
    from onnxruntime import quantization

    return quantization
