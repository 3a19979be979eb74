"""Writes docs/backbones.md from the networks themselves: python docs/backbones.py"""

from __future__ import annotations

from pathlib import Path

from wingbar.cli.backbones import table

HEAD = """# Backbones

`wingbar train --net NAME` takes any of these, and of timm's networks any that gives a map. These here are
the ones that the tests take through the whole method: training, maps, boxes, parts, prediction and export. `make test`
takes the smallest net of nearly every family, `make torture-backbones` all of the table (16 minutes on two cores). They
do so on a few drawn birds and from random weights, so they say whether a net works, not how well it tells your pictures
apart.

```
wingbar backbones
wingbar backbones --measure
```

The first line also says where the ImageNet weights of each net lie on your machine: in a `file`, in a `package` that
pip installed, or in the `hub's cache`. Such a net trains without network. A dash: they have to be fetched, or there are
none.

The second line measures how many pictures of 224 px a second each net takes on your machine. On two cores of an AMD
EPYC, torch 2.14: `res2net_nano` 539, MobileNetV2 187, ConvNeXt-atto 123, EfficientNet-B0 114, ViT-tiny 60,
ResNet-18 60, ResNet-50 24, Res2Net-50 22 (48w-2s), 21 (26w-4s and 14w-8s), 12 (26w-6s) and 11 (26w-8s), Swin-tiny
15, DINOv2-small 13, Res2Net-101 12, VGG-19 with the CAM head 5.
"""
TAIL = """
* The stride is how many pixels of the picture lie between two places of the map: the smaller, the finer is what the net
  can point at.
* Parameters are the backbone's. A run by field marks, the default, keeps one net; OPAM keeps three.
* The licence is that of the ImageNet weights, as timm states it. It is kept with the model. A dash: there are none, so
  train with `--weights none`. `unknown`: timm states none; ask their authors before you sell anything.
* VGG's 3x3 conv of 1,024 channels behind the pretrained layers starts from random weights.
* A net that cuts the picture into patches is shown a copy resized to whole patches, where `--size` is no multiple of
  them.

## A net that gives no map

Some networks keep no places up to their end (CrossViT, PiT). Others take pictures of one size only, but the whole
method looks at several. Then `train` ends at once, before anything is learnt, with a line that says so. What to do:
choose a net of the table; or for a net of one size, `--method plain` at this `--size`.
"""


def page() -> str:
    """The whole page."""
    return f"{HEAD}\n{table()}\n{TAIL}"


if __name__ == "__main__":
    (Path(__file__).parent / "backbones.md").write_text(page(), encoding="utf-8")
