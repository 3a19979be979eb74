"""Boxes and points that lie in a file of their own for each picture; they are read when something is judged.

============  ==================================================================  ===================
kind          file                                                                gives
============  ==================================================================  ===================
``trimap``    picture of numbers: 1 object, 2 background, 3 its border            box of 1 and 3
``cut-out``   the picture with its background painted blue, RGB (0, 0, 254)       box of the rest
``box``       ImageNet's XML: ``object/bndbox``, pixels counted from 0            the largest box
``head``      PASCAL VOC's XML: the same elements                                 keypoint ``head``
============  ==================================================================  ===================
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy import ndarray
from PIL import Image

from wingbar.boxes import box_of_mask
from wingbar.data.sample import Annotation, Dataset, Keypoint, Sample
from wingbar.errors import DataError
from wingbar.images import MAX_PIXELS, read_picture

MAX_XML = 64 << 10
"""Bytes; the published files have one or two KB."""
BLUE = (0, 0, 254)
BLUE_TOLERANCE = 40
"""JPEG bends colours: pixels this near to blue in every channel are background."""

Rectangle = tuple[float, float, float, float]


def with_boxes(dataset: Dataset) -> Dataset:
    """The data set with the boxes and keypoints of its annotation files read. Raises DataError for a damaged one."""
    return replace(dataset, samples=tuple(_annotated(sample) for sample in dataset.samples))


def _annotated(sample: Sample) -> Sample:
    for annotation in sample.annotations:
        box = _box(annotation)
        if box is not None and annotation.kind == "head":
            head = Keypoint("head", (box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            sample = replace(sample, keypoints=(*sample.keypoints, head))
        elif box is not None:
            sample = replace(sample, box=box)
    return sample


def _box(annotation: Annotation) -> Rectangle | None:
    match annotation.kind:
        case "trimap":
            return box_of_mask(_numbers(annotation.path) != 2)
        case "cut-out":
            pixels = read_picture(annotation.path).pixels.astype(np.int16)
            return box_of_mask((np.abs(pixels - BLUE) > BLUE_TOLERANCE).any(2))
        case _:
            return max(xml_boxes(annotation.path), key=_area, default=None)


def xml_boxes(file: Path) -> list[Rectangle]:
    """The boxes of an XML annotation as written there. Raises DataError.

    Files are bounded, and one that declares a document type is refused: so none can define entities.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_XML + 1)
        if len(content) > MAX_XML:
            raise ValueError(f"larger than {MAX_XML >> 10} KiB")
        parser = ElementTree.XMLParser(target=_Plain())
        parser.feed(content)
        boxes = [tuple(_side(box, side) for side in ("xmin", "ymin", "xmax", "ymax"))
                 for box in parser.close().iterfind("object/bndbox")]  # fmt: skip
    except (OSError, ValueError, LookupError, ElementTree.ParseError) as error:
        raise DataError(f"{str(file)!r} cannot be read as an annotation: {error}. Restore it.") from None
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in boxes if x1 < x2 and y1 < y2]


class _Plain(ElementTree.TreeBuilder):
    """A tree without document types."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it declares a document type")


def _side(box: ElementTree.Element, side: str) -> float:
    value = float(box.findtext(side) or "nan")
    if not 0 <= value < 1e6:
        raise ValueError(f"{side} is no number of pixels")
    return value


def _area(box: Rectangle) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _numbers(file: Path) -> ndarray:
    """A picture's stored numbers: of a palette the indices."""
    try:
        with Image.open(file, formats=("PNG",)) as image:
            if image.mode not in ("L", "P") or image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.mode} pixels, {image.width} x {image.height}")
            return np.asarray(image)
    except Exception as error:  # decoders fail on hostile bytes with nearly any type there is
        raise DataError(f"{str(file)!r} cannot be read as a trimap: {error}. Restore it.") from None
