"""Boxes as COCO's JSON: of objects, with their class, and of parts. Weak labels, with their scores, for detectors.

Lin et al., "Microsoft COCO: common objects in context", ECCV 2014; cocodataset.org, "Data format". A box is
``[x, y, width, height]`` in pixels. Classes have the supercategory ``object``, parts ``part``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wingbar.boxes import Box
from wingbar.exchange.answers import PictureAnswer, to_json


def categories(answers: Sequence[PictureAnswer]) -> tuple[list[str], list[str]]:
    """The classes that are named, in order, and the parts."""
    classes = sorted({answer.label for answer in answers})
    parts = sorted({name for answer in answers for name, _ in answer.parts}, key=lambda name: (len(name), name))
    return classes, [f"part {name}" for name in parts]


def encode(answers: Sequence[PictureAnswer]) -> bytes:
    """The file of all answers."""
    classes, parts = categories(answers)
    of_class = {name: number for number, name in enumerate(classes, 1)}
    of_part = {name: number for number, name in enumerate(parts, len(classes) + 1)}
    images, annotations = [], list[dict[str, Any]]()
    for image, answer in enumerate(answers, 1):
        images.append({"id": image, "file_name": answer.path, "width": answer.size[0], "height": answer.size[1]})
        boxes = [(of_class[answer.label], answer.box), *((of_part[f"part {name}"], box) for name, box in answer.parts)]
        annotations += [
            {"id": number, "image_id": image, "category_id": category, **_box(box), "score": answer.score}
            for number, (category, box) in enumerate(boxes, len(annotations) + 1)
        ]
    return to_json({
        "info": {"description": "Answers of Wingbar: weak labels, made by a model, drawn by nobody."},
        "images": images,
        "annotations": annotations,
        "categories": [
            *({"id": number, "name": name, "supercategory": "object"} for name, number in of_class.items()),
            *({"id": number, "name": name, "supercategory": "part"} for name, number in of_part.items()),
        ],
    })  # fmt: skip


def _box(box: Box) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
