"""The layout of CUB-200-2011 (Wah et al., CNS-TR-2011-001): numbered lines in text files beside ``images/``.

=========================  ============================================  ========
file                       line                                          needed
=========================  ============================================  ========
``images.txt``             image id, path below ``images/``              yes
``classes.txt``            class id, class name                          yes
``image_class_labels.txt`` image id, class id                            yes
``train_test_split.txt``   image id, 1 (training) or 0 (test)            yes
``bounding_boxes.txt``     image id, x, y, width, height (pixels)        no
``parts/parts.txt``        part id, part name                            no
``parts/part_locs.txt``    image id, part id, x, y, 1 if visible else 0  no
=========================  ============================================  ========

``images.txt`` decides which pictures there are; lines of the other files about other pictures are ignored,
so a cut-down ``images.txt`` is enough for a subset. Classes without a listed picture are left out, and
the others numbered 0, 1, ... in the order of their ids. Class names stay as they are written there
(``001.Black_footed_Albatross``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wingbar.data.checks import named, only_pictures, quoted
from wingbar.data.folders import Finder
from wingbar.data.layouts.folder import split_folders
from wingbar.data.layouts.lists import Line, read_lines
from wingbar.data.sample import Dataset, Keypoint, Sample, Split
from wingbar.errors import DataError

LAYOUT = "CUB-200-2011"
_LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt")
_SPLITS: dict[str, Split] = {"1": "train", "0": "test"}


def recognised(root: Path) -> bool:
    """Whether the folder holds any of the lists only this layout has."""
    return any((root / name).is_file() for name in _LISTS)


def read(root: Path) -> Dataset:
    """Read the folder.

    Raises ``DataError``, with file and line, if a list is missing, damaged or contradicts another.
    """
    splits_there = split_folders(root)
    if splits_there:
        raise DataError(
            f"data set {str(root)!r}: two layouts at once, the lists of CUB-200-2011 next to "
            f"{named(path.name for path in splits_there.values())}. Move one of them away."
        )
    images = _by_id(root / "images.txt", 2)
    labels, classes = _labels(root, images)
    splits = _required(_by_id(root / "train_test_split.txt", 2), images, "train_test_split.txt")
    boxes = _boxes(root / "bounding_boxes.txt", images)
    keypoints, keypoint_names = _keypoints(root / "parts")
    samples, finder = [], Finder(root)
    for image, key in _keys(images).items():
        split = _SPLITS.get(splits[image].fields[1])
        if split is None:
            raise splits[image].error(f"{quoted(splits[image].fields[1])} is neither 1 (training) nor 0 (test)")
        points = tuple(keypoints.get(image, ()))
        samples.append(Sample(finder.path(key), key, labels[image], split, boxes.get(image), points))
    pictures, skipped = only_pictures(samples)
    return Dataset(root, root.name, LAYOUT, classes, pictures, skipped, keypoint_names)


def _lines(file: Path, fields: int) -> Iterator[Line]:
    remedy = f"; if this is a folder of class folders, rename or remove {', '.join(_LISTS)}"
    return read_lines(file, fields, LAYOUT, remedy)


def _by_id(file: Path, fields: int) -> dict[int, Line]:
    lines: dict[int, Line] = {}
    for line in _lines(file, fields):
        first = lines.setdefault(line.integer(0), line)
        if first is not line:
            raise line.error(f"id {line.integer(0)} was given already in line {first.number}")
    return dict(sorted(lines.items()))


def _required(lines: dict[int, Line], images: dict[int, Line], file: str) -> dict[int, Line]:
    missing = [image for image in images if image not in lines]
    if missing:
        raise DataError(
            f"{file!r} has no line for the image ids {named(missing)} of images.txt. Add these lines, "
            "or take the pictures out of images.txt."
        )
    return lines


def _keys(images: dict[int, Line]) -> dict[int, str]:
    """Image id -> key; two ids for one picture would let it be in training and test at once."""
    keys: dict[int, str] = {}
    ids: dict[str, int] = {}
    for image, line in images.items():
        key = "images/" + line.key(1)
        if ids.setdefault(key, image) != image:
            raise line.error(f"the picture {quoted(line.fields[1])} has the id {ids[key]} already")
        keys[image] = key
    return keys


def _labels(root: Path, images: dict[int, Line]) -> tuple[dict[int, int], tuple[str, ...]]:
    """Image id -> label from 0, and the class names in the order of the labels."""
    names = _by_id(root / "classes.txt", 2)
    lines = _required(_by_id(root / "image_class_labels.txt", 2), images, "image_class_labels.txt")
    ids = {image: lines[image].integer(1) for image in images}
    unknown = next((image for image in images if ids[image] not in names), None)
    if unknown is not None:
        raise lines[unknown].error(f"class id {ids[unknown]} is not in classes.txt")
    used = sorted(set(ids.values()))
    classes = tuple(names[class_id].fields[1] for class_id in used)
    for position, class_id in enumerate(used):
        if classes[position] in classes[:position]:
            raise names[class_id].error(f"the class name {quoted(classes[position])} is used twice")
    order = {class_id: label for label, class_id in enumerate(used)}
    return {image: order[class_id] for image, class_id in ids.items()}, classes


def _boxes(file: Path, images: dict[int, Line]) -> dict[int, tuple[float, float, float, float]]:
    if not file.exists():
        return {}
    boxes = {}
    for image, line in _required(_by_id(file, 5), images, file.name).items():
        x, y, width, height = (line.real(column) for column in range(1, 5))
        if width <= 0 or height <= 0:
            raise line.error(f"a box of {width:g} x {height:g} pixels is empty")
        boxes[image] = (x, y, x + width, y + height)
    return boxes


def _keypoints(folder: Path) -> tuple[dict[int, list[Keypoint]], tuple[str, ...]]:
    """Image id -> its visible keypoints, and the names of all, both in the order of the part ids."""
    if not (folder / "part_locs.txt").exists():
        return {}, ()
    names = {part: line.fields[1] for part, line in _by_id(folder / "parts.txt", 2).items()}
    points: dict[int, dict[int, Keypoint]] = {}
    first_line: dict[tuple[int, int], int] = {}
    for line in _lines(folder / "part_locs.txt", 5):
        image, part = line.integer(0), line.integer(1)
        if part not in names:
            raise line.error(f"part id {part} is not in parts.txt")
        if first_line.setdefault((image, part), line.number) != line.number:
            raise line.error(f"part {part} of image {image} was given already in line {first_line[image, part]}")
        if line.fields[4] not in ("0", "1"):
            raise line.error(f"{quoted(line.fields[4])} is neither 1 (visible) nor 0")
        if line.fields[4] == "1":
            points.setdefault(image, {})[part] = Keypoint(names[part], line.real(2), line.real(3))
    in_order = {image: [of_parts[part] for part in sorted(of_parts)] for image, of_parts in points.items()}
    return in_order, tuple(names.values())
