"""Saliency maps against pytorch-grad-cam's GradCAM with the same nets.

    python benchmarks/maps.py [--data DATA/cub50] [--quick] [--write]       (peer: grad-cam, in `.venv-peers`)

For a net of global average pooling and one linear layer, GradCAM's weighted sum of the last feature maps is the class
activation map, up to a positive factor; its ReLU and its enlargement by OpenCV come after. So maps are compared at the
net's resolution, before that ReLU, each min-max normalised; what is timed is each side's whole way from a batch of
pictures to maps of the pictures' size. Ours averages picture and mirror by default: compared are both without mirror,
and both with it (GradCAM then gets the mirrored pictures as a second batch).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from _measure import Options, alternate, door, files, resident, spread, table, versions
from numpy import ndarray
from torch import Tensor, nn

from wingbar.learning.views import square, to_tensor
from wingbar.nets import MapNet, create, for_inference
from wingbar.nets.outputs import PictureNet
from wingbar.nets.saliency_head import normalize
from wingbar.opam.maps import resize_map, stretch
from wingbar.opam.saliency import saliency_maps

NETS = {"mobilenetv2_100": "bn2", "res2net50_26w_4s": "layer4"}
"""Net -> the module of its backbone that gives the last feature map."""
BATCH = 16
SIDE = 224
CLASSES = 50

try:
    from pytorch_grad_cam import GradCAM
except ImportError:
    GradCAM = None


def plain_maps(net: MapNet, squares: Tensor) -> ndarray:
    """Our maps of uint8 squares without the mirror."""
    with torch.no_grad():
        evidence = net.forward_evidence(net.forward_features(normalize(squares, net)))
    best = (evidence.mean((2, 3)) + net.head.bias).argmax(1)
    return stretch(evidence[torch.arange(len(evidence)), best].numpy())


def enlarged(maps: ndarray) -> ndarray:
    return np.stack([resize_map(one, (SIDE, SIDE)) for one in maps])


def mirrored_maps(net: MapNet, squares: Tensor) -> ndarray:
    """Our maps of uint8 squares, averaged with those of their mirrors."""
    with torch.no_grad():
        evidence, logits, *_ = PictureNet(net)(squares)
    return saliency_maps(evidence.numpy(), logits.numpy())


def ours(net: MapNet, squares: Tensor, mirror: bool) -> ndarray:
    """From uint8 squares to maps of their size."""
    return enlarged((mirrored_maps if mirror else plain_maps)(net, squares))


def theirs(cam: Callable[..., ndarray], pixels: Tensor, mirror: bool) -> ndarray:
    """The same by GradCAM of each picture's best class."""
    maps = cam(input_tensor=pixels, targets=None)
    return (maps + cam(input_tensor=pixels.flip(3), targets=None)[:, :, ::-1]) / 2 if mirror else maps


def largest_difference(net: MapNet, quick: MapNet, layer: nn.Module, squares: Tensor) -> float:
    """Between the two sides' maps at the net's resolution, each stretched to [0, 1]."""
    pixels = normalize(squares, net)
    with GradCAM(model=net, target_layers=[layer]) as cam:
        cam(input_tensor=pixels, targets=None)
        seen = cam.activations_and_grads
        raw = cam.get_cam_image(pixels, layer, None, seen.activations[0].numpy(), seen.gradients[0].numpy())
    low, high = raw.min((1, 2), keepdims=True), raw.max((1, 2), keepdims=True)
    return float(np.abs((raw - low) / (high - low) - plain_maps(quick, squares)).max())


def batches(options: Options, count: int) -> Iterator[Tensor]:
    """Uint8 squares, the folder over and over if need be."""
    paths = list(files(options.data).values())
    for start in range(0, count, BATCH):
        some = [paths[i % len(paths)] for i in range(start, min(start + BATCH, count))]
        yield torch.stack([to_tensor(square(path, None, SIDE)) for path in some])


def compare(name: str, options: Options) -> list[list[object]]:
    """Rows of one net: mirror, batch, pictures a second of both, ratio, difference."""
    torch.manual_seed(0)
    net = create(name, CLASSES).eval().to(memory_format=torch.channels_last)
    quick, layer = for_inference(net), net.backbone.get_submodule(NETS[name])
    paths = files(options.data)
    some = [paths[key] for key in spread(list(paths), BATCH)]
    squares = torch.stack([to_tensor(square(path, None, SIDE)) for path in some])
    difference = largest_difference(net, quick, layer, squares[:4])
    found: list[list[object]] = []
    for batch in (1, BATCH):
        pictures = squares[:batch]
        pixels = normalize(pictures, net).contiguous(memory_format=torch.channels_last)
        for mirror in (False, True):
            with GradCAM(model=net, target_layers=[layer]) as cam:
                sides = {
                    "ours": partial(ours, quick, pictures, mirror),
                    "GradCAM": partial(theirs, cam, pixels, mirror),
                }
                timed = alternate(sides, options.number(7 if batch == 1 else 3, 1))
            rates = [batch / timed.median(side) for side in ("GradCAM", "ours")]
            told = ["with" if mirror else "without", batch, *rates, timed.ratio("GradCAM", "ours")]
            found.append([name, *told, f"{difference:.0e}"])
    return found


def memory(options: Options) -> list[list[object]]:
    """What this process holds after so many pictures."""
    net = create("mobilenetv2_100", CLASSES).eval()
    quick, done, found = for_inference(net).to(memory_format=torch.channels_last), 0, []
    for squares in batches(options, options.number(2000, 64)):
        ours(quick, squares, mirror=True)
        done += len(squares)
        if done % options.number(400, 32) == 0:
            found.append([done, resident()])
    return found


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    held, text = memory(options), ""  # first, for GradCAM keeps its last graph
    if GradCAM is not None:
        header = ("net", "mirror", "batch", "GradCAM, pictures/s", "ours, pictures/s", "times as fast", "difference")
        names = list(NETS)[:1] if options.quick else list(NETS)
        peer = versions("grad-cam")
        text = f"""Against `GradCAM` of {peer}, same net and pictures of {SIDE} px, one thread; from a batch to maps of
the pictures' size. The difference is the largest between both sides' maps at the net's resolution, before
GradCAM's ReLU, each stretched to [0, 1]: for these nets GradCAM is the class activation map.

{table(header, [row for name in names for row in compare(name, options)])}
"""
    return f"""## Maps

{text}
Memory after so many pictures, read from files, MobileNetV2, batches of {BATCH}:

{table(("pictures", "resident MB"), held)}"""


if __name__ == "__main__":
    door(measure, __doc__)
