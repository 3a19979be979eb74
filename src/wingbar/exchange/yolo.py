"""Boxes as YOLO's text files: a file a picture, a line a box. Weak labels for detectors, without scores.

    labels/PATH.txt   CLASS x y width height, the box's centre and size as shares of the picture's
    data.yaml         the numbers of the classes and parts; its own folder is the root, since it names none
    images/PATH       a link to each picture, where their folder is named

Ultralytics' documentation, "Object detection datasets overview". Labels are found by the pictures' path, in which the
last folder ``images`` is taken for ``labels``. Links to folders are resolved before that, those to files are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from wingbar.boxes import Box
from wingbar.errors import DataError
from wingbar.exchange.answers import PictureAnswer
from wingbar.exchange.coco import categories


def files(answers: Sequence[PictureAnswer]) -> dict[str, bytes]:
    """Name -> content of each file. Raises DataError where a picture would have no file of labels, or another's."""
    classes, parts = categories(answers)
    number = {name: place for place, name in enumerate([*classes, *parts])}
    owners: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for answer in answers:
        path = PurePosixPath(answer.path.lstrip("/"))
        if "images" in path.parent.parts:
            raise DataError(
                f"{answer.path!r} lies in a folder 'images', in which YOLO would look for its labels: predict the "
                "pictures of that folder itself."
            )
        name = str(PurePosixPath("labels", path).with_suffix(".txt"))
        if owners.setdefault(name, answer.path) != answer.path:
            raise DataError(
                f"{owners[name]!r} and {answer.path!r} would have one file, {name!r}: YOLO tells pictures apart by "
                "their names without the ending. Rename one of them, and predict again."
            )
        boxes = [(number[answer.label], answer.box), *((number[f"part {part}"], box) for part, box in answer.parts)]
        contents[name] = "".join(line(category, box, answer.size) for category, box in boxes).encode()
    return contents | {"data.yaml": _description([*classes, *parts]).encode()}


def line(category: int, box: Box, size: tuple[int, int]) -> str:
    """A box as a line: its class, then centre and size as shares of the picture's ``size`` (width, height)."""
    (x1, y1, x2, y2), (width, height) = box, size
    shares = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
    return f"{category} {' '.join(f'{share:.6f}' for share in shares)}\n"


def _description(names: Sequence[str]) -> str:
    numbered = "".join(f"  {number}: {_text(name)}\n" for number, name in enumerate(names))
    return f"# Weak labels, made by a model, drawn by nobody.\ntrain: images\nval: images\nnames:\n{numbered}"


def _text(name: str) -> str:
    """A name in YAML's double quotes, so that it cannot be taken for anything but a text.

    JSON's would not do: it has two escapes for one letter beyond 16 bits.
    """
    letters = (x if x.isprintable() and x not in '"\\' else f"\\U{ord(x):08X}" for x in name)
    return f'"{"".join(letters)}"'
