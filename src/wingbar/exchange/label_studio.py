"""Label Studio's tasks with the model's answers to be looked over, and its JSON export back again.

    tasks.json   a task a picture: its answer as a prediction, with the class as a choice and boxes as rectangles
    config.xml   the labelling interface that goes with it

Label Studio's documentation, "Import pre-annotated data" and "Label Studio JSON format". Boxes are in hundredths of the
picture's sides. A picture is found by Label Studio's local storage, whose root is the folder of pictures.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import quoteattr

from wingbar import __version__
from wingbar._system.text import visible
from wingbar.boxes import Box
from wingbar.data.checks import quoted
from wingbar.errors import DataError
from wingbar.exchange.answers import LeaveOut, PictureAnswer, inside, to_json

CHOICE, BOXES, IMAGE = "class", "box", "image"
"""Names in the labelling interface."""
LOCAL = "/data/local-files/"


def files(answers: Sequence[PictureAnswer]) -> dict[str, bytes]:
    """Name -> content of each file."""
    interface = _interface(answers).encode("utf-8", "backslashreplace")
    return {"config.xml": interface, "tasks.json": to_json([_task(answer) for answer in answers])}


def read(file: Path, leave_out: LeaveOut) -> Iterator[PictureAnswer]:
    """The class that a human gave each picture. ``leave_out`` is called for those without one, or with two.

    Raises DataError for a file that is no export as JSON.
    """
    try:
        tasks = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{str(file)!r}: no JSON ({quoted(str(error))}). Export from Label Studio as JSON.") from None
    for number, task in enumerate(tasks, 1):
        try:
            path, labels = _picture(task["data"]), _choices(task["annotations"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"{str(file)!r}, task {number}: no task of Label Studio's as JSON ({quoted(str(error))}). "
                "Export with the format JSON, not JSON-MIN."
            ) from None
        if len(labels) == 1:
            yield PictureAnswer(path, labels.pop())
        else:
            leave_out(path, "annotators disagree" if labels else "nobody has named it")


def _task(answer: PictureAnswer) -> dict[str, Any]:
    choice = {
        "id": "class", "from_name": CHOICE, "to_name": IMAGE, "type": "choices", "value": {"choices": [answer.label]}
    }  # fmt: skip
    boxes = [("object", answer.box), *((f"part {name}", box) for name, box in answer.parts)]
    return {
        "data": {
            IMAGE: f"{LOCAL}?d={quote(answer.path)}",
            "path": answer.path,
            "candidates": ", ".join(answer.candidates),
            **({} if answer.known is None else {"known": answer.known}),
        },
        "predictions": [
            {
                "model_version": f"wingbar {__version__}",
                "score": answer.score,
                "result": [choice, *(_rectangle(name, box, answer) for name, box in boxes)],
            }
        ],
    }


def _rectangle(name: str, box: Box, answer: PictureAnswer) -> dict[str, Any]:
    (x1, y1, x2, y2), (width, height) = box, answer.size
    return {
        "id": hashlib.sha256(repr((name, box)).encode()).hexdigest()[:10],
        "from_name": BOXES, "to_name": IMAGE, "type": "rectanglelabels",
        "original_width": width, "original_height": height, "image_rotation": 0,
        "value": {
            "x": 100 * x1 / width, "y": 100 * y1 / height,
            "width": 100 * (x2 - x1) / width, "height": 100 * (y2 - y1) / height,
            "rotation": 0, "rectanglelabels": [name],
        },
    }  # fmt: skip


def _interface(answers: Sequence[PictureAnswer]) -> str:
    classes = sorted({label for answer in answers for label in (answer.label, *answer.scores)})
    parts = sorted({f"part {name}" for answer in answers for name, _ in answer.parts})
    choices = "".join(f"    <Choice value={quoteattr(visible(name))}/>\n" for name in classes)
    labels = "".join(f"    <Label value={quoteattr(visible(name))}/>\n" for name in ("object", *parts))
    return (
        f'<View>\n  <Image name="{IMAGE}" value="${IMAGE}"/>\n'
        f'  <Choices name="{CHOICE}" toName="{IMAGE}" choice="single" showInline="true">\n{choices}  </Choices>\n'
        f'  <RectangleLabels name="{BOXES}" toName="{IMAGE}">\n{labels}  </RectangleLabels>\n</View>\n'
    )


def _picture(data: dict[str, Any]) -> str:
    """The picture's path: the one that we wrote, or the one that local storage was asked for."""
    if isinstance(path := data.get("path"), str):
        return inside(path)
    address = urlsplit(data[IMAGE])
    if address.path != LOCAL or "d" not in (asked := parse_qs(address.query)):
        raise ValueError(f"its picture {address.geturl()!r} has no path in local storage")
    return inside(asked["d"][0])


def _choices(annotations: list[dict[str, Any]]) -> set[str]:
    """What annotators chose, those that were cancelled left out."""
    results = [
        result for one in annotations if one.get("was_cancelled") is not True for result in one.get("result", [])
    ]
    chosen = [result["value"]["choices"] for result in results if result.get("type") == "choices"]
    return {str(label).strip() for labels in chosen for label in labels if str(label).strip()}
