"""The interface of prediction to trained nets, for torch and ONNX Runtime alike: arrays in, arrays out."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float32, UInt8
from numpy import ndarray


class PictureOutput(NamedTuple):
    """Outputs for whole pictures, of ClassNet averaged over each picture and its mirror."""

    evidence: Float32[ndarray, "batch classes h w"]
    """What speaks for each class where, in logits: class activation maps; of field marks weighted by the object's box,
    and what the second head says everywhere. Their means and the biases are the logits."""
    logits: Float32[ndarray, "batch classes"]
    corners: Float32[ndarray, "batch 4"]
    """x1, y1, x2, y2 of the object in shares of the picture, not cut to it; zeros in a model that learnt no boxes."""
    features: Float32[ndarray, "batch channels"]
    """The last feature map, averaged over its places."""
    neurons: Float32[ndarray, "batch neurons h2 w2"]
    """Responses of the layer that parts are aligned by; no neurons in a model without parts."""


class ViewOutput(NamedTuple):
    """What the one net of field marks says of crops: around objects, of objects, of marks."""

    logits: Float32[ndarray, "batch classes"]
    corners: Float32[ndarray, "batch 4"]
    """x1, y1, x2, y2 of the object in shares of the view, not cut to it, where the view is a crop around the object."""
    marks: Float32[ndarray, "batch marks h2 w2"]
    """What speaks for each mark where, in a crop around the object."""
    features: Float32[ndarray, "batch channels"]
    """The last feature map, averaged over its places."""


@runtime_checkable
class Runtime(Protocol):
    """Runs the nets of one model."""

    def picture(self, squares: UInt8[ndarray, "batch 3 side side"]) -> PictureOutput:
        """ClassNet on whole pictures resized to squares."""
        ...

    def views(self, squares: UInt8[ndarray, "batch 3 side side"]) -> ViewOutput:
        """The one net of field marks on crops resized to squares."""
        ...

    def crops(self, stream: str, squares: UInt8[ndarray, "batch 3 side side"]) -> Float32[ndarray, "batch outputs"]:
        """Logits of ObjectNet or PartNet for crops; PartNet has one set of classes for each of its heads."""
        ...
