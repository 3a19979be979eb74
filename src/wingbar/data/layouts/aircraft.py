"""FGVC-Aircraft (Maji et al., arXiv 1306.5151): 100 variants, 70 families or 30 manufacturers of aircraft.

``data/images_variant_trainval.txt`` and ``..._test.txt`` have the lines ``NUMBER NAME``, where the name may hold
spaces; ``variants.txt`` lists the names, ``images_box.txt`` the boxes ``xmin ymin xmax ymax``, counted from 1 with
both ends inside. A folder is read by variants; naming ``families.txt`` or ``manufacturers.txt`` in its place reads
it by these. The lowest 20 pixels of every picture are a strip with its photographer's name.
"""

from __future__ import annotations

from pathlib import Path

from wingbar.data.layouts.lists import Line, read_lines
from wingbar.data.layouts.official import ListedPicture, Published, assemble
from wingbar.data.sample import Dataset, Split

LEVELS = {
    "variants.txt": ("variant", Published("FGVC-Aircraft", 100, 6667, 3333)),
    "families.txt": ("family", Published("FGVC-Aircraft by family", 70, 6667, 3333)),
    "manufacturers.txt": ("manufacturer", Published("FGVC-Aircraft by manufacturer", 30, 6667, 3333)),
}
_SPLITS: tuple[tuple[str, Split], ...] = (("trainval", "train"), ("test", "test"))


def recognised(path: Path) -> bool:
    """Whether ``path`` is the data set's folder, its ``data`` folder, or a list of names in that."""
    if path.is_file():
        return path.name in LEVELS and recognised(path.parent)
    return any((path / folder / "images_variant_trainval.txt").is_file() for folder in ("data", "."))


def read(path: Path) -> Dataset:
    """Read the folder, or by the list of names given. Raises DataError, with file and line."""
    names, lists = path, path.parent
    if path.is_dir():
        lists = path / "data" if (path / "data").is_dir() else path
        names = lists / "variants.txt"
    root = lists.parent if lists.name == "data" else lists
    level, published = LEVELS[names.name]
    classes = [line.fields[0] for line in read_lines(names, 1, published.layout)]
    ids = {name: number for number, name in enumerate(classes)}
    boxes = _boxes(lists / "images_box.txt")
    listed = [
        _listed(line, lists.relative_to(root), ids, split, boxes)
        for part, split in _SPLITS
        for line in read_lines(lists / f"images_{level}_{part}.txt", 2, published.layout)
    ]
    remark = "the lowest 20 pixels of each picture name its photographer: cut them off before you train"
    file = path if path.is_file() else None
    return assemble(root, published, listed, dict(enumerate(classes)), file=file, remark=remark)


def _listed(line: Line, folder: Path, ids: dict[str, int], split: Split, boxes: dict[str, Line]) -> ListedPicture:
    name = line.fields[1]
    if name not in ids:
        raise line.error(f"{name!r} is not among the names of the classes")
    key = (folder / "images" / f"{line.key(0)}.jpg").as_posix()
    return ListedPicture(key, ids[name], split, _box(boxes[line.fields[0]]) if line.fields[0] in boxes else None)


def _boxes(file: Path) -> dict[str, Line]:
    return {line.fields[0]: line for line in read_lines(file, 5, "FGVC-Aircraft")} if file.is_file() else {}


def _box(line: Line) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (line.real(column) for column in range(1, 5))
    if not (1 <= x1 <= x2 and 1 <= y1 <= y2):
        raise line.error(f"a box from {x1:g}, {y1:g} to {x2:g}, {y2:g} is empty")
    return x1 - 1, y1 - 1, x2, y2
