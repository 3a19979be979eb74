"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012): 37 breeds of cats and dogs, in ``images/`` and ``annotations/``.

``annotations/trainval.txt`` and ``test.txt`` have the lines ``NAME CLASS SPECIES BREED``, classes counted from 1;
``NAME`` without its number is the breed. ``list.txt`` repeats both lists and is not needed. For evaluation:
``trimaps/NAME.png`` outlines the animal (its box is the object's), ``xmls/NAME.xml`` boxes its head (the keypoint
``head`` is that box's centre); the owners give head boxes for training pictures only.
"""

from __future__ import annotations

from pathlib import Path

from wingbar.data.layouts.lists import Line, read_lines
from wingbar.data.layouts.official import ListedPicture, Published, assemble
from wingbar.data.sample import Annotation, Dataset, Split

PUBLISHED = Published("Oxford-IIIT Pet", 37, 3680, 3669)
_SPLITS: tuple[tuple[str, Split], ...] = (("trainval.txt", "train"), ("test.txt", "test"))


def recognised(root: Path) -> bool:
    """Whether the list that only this data set has is there."""
    return (root / "annotations" / "trainval.txt").is_file()


def read(root: Path) -> Dataset:
    """Read the folder. Raises DataError, with file and line, where a list is missing or damaged."""
    listed: list[ListedPicture] = []
    names: dict[int, str] = {}
    for file, split in _SPLITS:
        for line in read_lines(root / "annotations" / file, 4, PUBLISHED.layout):
            breed = line.key(0).rpartition("_")[0]
            if not breed or "/" in breed:
                raise line.error(f"{line.fields[0]!r} is not BREED_NUMBER")
            if names.setdefault(line.integer(1), breed) != breed:
                raise line.error(f"class {line.fields[1]} is both {names[line.integer(1)]!r} and {breed!r}")
            listed.append(_listed(root, line, split))
    return assemble(root, PUBLISHED, listed, names, keypoint_names=("head",))


def _listed(root: Path, line: Line, split: Split) -> ListedPicture:
    name, notes = line.key(0), root / "annotations"
    files = (
        Annotation(notes / "trimaps" / f"{name}.png", "trimap"),
        Annotation(notes / "xmls" / f"{name}.xml", "head"),
    )
    present = tuple(annotation for annotation in files if annotation.path.is_file())
    return ListedPicture(f"images/{name}.jpg", line.integer(1), split, annotations=present)
