"""The modules that a prediction runs: all outputs of a net from one pass of the picture and one of its mirror."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from wingbar.nets.middle import both_maps
from wingbar.nets.neurons import response_map
from wingbar.nets.saliency_head import MapNet, normalize

OUTSIDE = 1e-3
"""How much a place outside the object's box counts beside one inside."""


class BoxHead(nn.Module):
    """The object's corners as a linear function of the whole feature map (`opam.box_regression`)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Float[Tensor, "4 channels h w"], bias: Float[Tensor, "4"]) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, features: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch 4"]:
        """Corners in shares of the picture."""
        return torch.einsum("bchw,kchw->bk", features, self.weight) + self.bias


class PictureNet(nn.Module):
    """ClassNet with all outputs of a prediction: evidence, logits, corners, features, the neurons' responses.

    Takes uint8 squares ``[batch, 3, side, side]`` and gives the tensors of `PictureOutput`.
    """

    def __init__(self, net: MapNet, boxes: BoxHead | None = None, layer: str | None = None) -> None:
        super().__init__()
        self.net, self.boxes, self.layer = net, boxes, layer

    def forward(self, pixels: UInt8[Tensor, "batch 3 h w"]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        count = pixels.shape[0]  # a symbol while a net is exported, which len() would make a number
        views = normalize(torch.cat([pixels, pixels.flip(3)]), self.net)
        if self.layer is None:
            features, neurons = self.net.forward_features(views), views.new_zeros(2 * count, 0, 1, 1)
        else:
            features, neurons = response_map(self.net, self.layer, views)
        both = averaged(features)
        evidence = self.net.forward_evidence(both)
        corners = views.new_zeros(count, 4)
        if self.boxes is not None:
            upright, mirrored = self.boxes(features).unflatten(0, (2, -1))
            corners = (upright + mirror_corners(mirrored)) / 2
        logits = evidence.mean((2, 3)) + self.net.head.bias
        return evidence, logits, corners, both.mean((2, 3)), averaged(neurons)


class CropNet(nn.Module):
    """ObjectNet or PartNet on uint8 squares."""

    def __init__(self, net: MapNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: UInt8[Tensor, "batch 3 h w"]) -> Float[Tensor, "batch outputs"]:
        """Logits."""
        return self.net(normalize(pixels, self.net))


def averaged(both: Float[Tensor, "twice channels h w"]) -> Float[Tensor, "batch channels h w"]:
    """The means of the maps of pictures (first half) and of their mirrors (second half), which are mirrored back."""
    upright, mirrored = both.unflatten(0, (2, -1))
    return (upright + mirrored.flip(3)) / 2


def mirror_corners(corners: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch 4"]:
    """Boxes of a mirrored picture, in shares of its sides, as boxes of the picture, and the reverse."""
    x1, y1, x2, y2 = corners.unbind(1)
    return torch.stack([1 - x2, y1, 1 - x1, y2], 1)


class CornerHead(nn.Module):
    """The object's corners as a linear function of both maps (`opam.corners`)."""

    last: Tensor
    middle: Tensor
    bias: Tensor

    def __init__(
        self,
        last: Float[Tensor, "4 channels h w"],
        middle: Float[Tensor, "4 fewer h2 w2"],
        bias: Float[Tensor, "4"],
    ) -> None:
        super().__init__()
        self.register_buffer("last", last)
        self.register_buffer("middle", middle)
        self.register_buffer("bias", bias)

    def forward(
        self, last: Float[Tensor, "batch channels h w"], middle: Float[Tensor, "batch fewer h2 w2"]
    ) -> Float[Tensor, "batch 4"]:
        """Corners in shares of the view."""
        both = torch.einsum("bchw,kchw->bk", last, self.last) + torch.einsum("bchw,kchw->bk", middle, self.middle)
        return both + self.bias


class MarkHead(nn.Module):
    """What speaks for each field mark where, as a linear function of both maps (`opam.marks`)."""

    last: Tensor
    middle: Tensor

    def __init__(self, last: Float[Tensor, "marks channels"], middle: Float[Tensor, "marks fewer"]) -> None:
        super().__init__()
        self.register_buffer("last", last)
        self.register_buffer("middle", middle)

    @staticmethod
    def joined(heads: Sequence[MarkHead]) -> MarkHead:
        """One head for the marks of all, in their order."""
        return MarkHead(torch.cat([head.last for head in heads]), torch.cat([head.middle for head in heads]))

    def forward(
        self, last: Float[Tensor, "batch channels h w"], middle: Float[Tensor, "batch fewer h2 w2"]
    ) -> Float[Tensor, "batch marks h2 w2"]:
        """Maps at the resolution of the map halfway."""
        coarse = torch.einsum("bchw,kc->bkhw", last, self.last)
        fine = torch.einsum("bchw,kc->bkhw", middle, self.middle)
        return fine + functional.interpolate(coarse, fine.shape[2:], mode="nearest")


class SecondHead(nn.Module):
    """What all places of a whole picture tell, beside what the net's own head says of the object (`opam.joint`)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Float[Tensor, "classes channels"], bias: Float[Tensor, "classes"]) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def fits(self, head: nn.Linear) -> bool:
        """Whether it is of the classes and channels of this ``head``."""
        pairs = (self.weight, head.weight), (self.bias, head.bias)
        return all(ours.shape == theirs.shape and ours.dtype == theirs.dtype for ours, theirs in pairs)

    def forward(self, features: Float[Tensor, "batch channels h w"]) -> Float[Tensor, "batch classes h w"]:
        """What speaks for each class where; its mean over the places, and the bias, are logits."""
        return torch.einsum("bchw,kc->bkhw", features, self.weight)


class WholeNet(nn.Module):
    """The one net of field marks on whole pictures: its own head by what lies in the object's box, and a second head.

    Before there is a ``second`` head, the own one names pictures alone. Raises ValueError for one that does not fit.

    Takes uint8 squares ``[batch, 3, side, side]`` and gives the tensors of `PictureOutput`, without neurons.
    """

    def __init__(self, net: MapNet, layer: str | None, corners: CornerHead, second: SecondHead | None = None) -> None:
        super().__init__()
        if second is not None and not second.fits(net.head):
            raise ValueError("the second head, which is of other classes or features than the net's own")
        self.net, self.layer, self.corners, self.second = net, layer, corners, second

    def forward(self, pixels: UInt8[Tensor, "batch 3 h w"]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        last, middle = both_maps(self.net, self.layer, normalize(pixels, self.net))
        corners = self.corners(last, middle)
        evidence = self.net.forward_evidence(last) * box_weights(corners, *last.shape[2:])[:, None]
        bias: Tensor = self.net.head.bias
        if self.second is not None:
            evidence, bias = evidence + self.second(last), bias + self.second.bias
        logits = evidence.mean((2, 3)) + bias
        return evidence, logits, corners, last.mean((2, 3)), last[:, :0]


class ViewNet(nn.Module):
    """The one net of field marks on crops, with all that is read off its two maps.

    Takes uint8 squares ``[batch, 3, side, side]`` and gives the tensors of `ViewOutput`.
    """

    def __init__(self, net: MapNet, layer: str | None, corners: CornerHead, marks: MarkHead) -> None:
        super().__init__()
        self.net, self.layer, self.corners, self.marks = net, layer, corners, marks

    def forward(self, pixels: UInt8[Tensor, "batch 3 h w"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        last, middle = both_maps(self.net, self.layer, normalize(pixels, self.net))
        logits = self.net.forward_evidence(last).mean((2, 3)) + self.net.head.bias
        return logits, self.corners(last, middle), self.marks(last, middle), last.mean((2, 3))


def box_weights(corners: Float[Tensor, "batch 4"], rows: int, columns: int) -> Float[Tensor, "batch rows columns"]:
    """How much each place of a map counts where the object has these ``corners``, in shares of the picture.

    A place counts by the share of it that the box covers. The mean over all places is 1. Places outside the box count
    a little (`OUTSIDE`), so that there is an answer for an empty box too.
    """
    x1, y1, x2, y2 = corners.clamp(0, 1).unbind(1)
    weights = OUTSIDE + covered(y1, y2, rows)[:, :, None] * covered(x1, x2, columns)[:, None, :]
    return weights / weights.mean((1, 2), keepdim=True)


def covered(low: Float[Tensor, "batch"], high: Float[Tensor, "batch"], count: int) -> Float[Tensor, "batch count"]:
    """The share of each of ``count`` equal parts of [0, 1] that lies between ``low`` and ``high``."""
    begins = torch.arange(count, device=low.device, dtype=low.dtype) / count
    ends = torch.minimum(high[:, None], begins + 1 / count)
    return (ends - torch.maximum(low[:, None], begins)).clamp(min=0) * count
