"""Oxford-Flower-102 (Nilsback and Zisserman, ICVGIP 2008): pictures ``jpg/image_00001.jpg`` and on.

``imagelabels.mat`` has ``labels`` (from 1), one for each picture; ``setid.mat`` the numbers of the pictures in
``trnid``, ``valid`` (1,020 each) and ``tstid`` (6,149). The test set is by far the largest, so the two are often
swapped to learn from more pictures; here, as published and as in the OPAM paper, ``trnid`` and ``valid`` are for
training and ``tstid`` for the test. ``segmim/segmim_00001.jpg``, where it is there, cuts the flower out: for
evaluation. The owners' files have no class names: they are torchvision's.
"""

from __future__ import annotations

from pathlib import Path

from wingbar.data.layouts.matlab import read_matlab, whole_numbers
from wingbar.data.layouts.official import ListedPicture, Published, assemble
from wingbar.data.sample import Annotation, Dataset, Split
from wingbar.errors import DataError

PUBLISHED = Published("Oxford-Flower-102", 102, 2040, 6149)
_SPLITS: tuple[tuple[str, Split], ...] = (("trnid", "train"), ("valid", "train"), ("tstid", "test"))


def recognised(root: Path) -> bool:
    """Whether the list of labels that only this data set has is there."""
    return (root / "imagelabels.mat").is_file()


def read(root: Path) -> Dataset:
    """Read the folder. Raises DataError where a list is missing, damaged or contradicts the other."""
    label_file, set_file = root / "imagelabels.mat", root / "setid.mat"
    labels = whole_numbers(label_file, "labels", read_matlab(label_file, "labels")["labels"])
    sets = read_matlab(set_file, *(variable for variable, _ in _SPLITS))
    listed = [
        _listed(root, number, labels, split)
        for variable, split in _SPLITS
        for number in whole_numbers(set_file, variable, sets[variable])
    ]
    return assemble(root, PUBLISHED, listed, dict(enumerate(_names(), start=1)))


def _names() -> list[str]:
    from torchvision.datasets import Flowers102  # slow to import, and for the names of this set only

    return list(Flowers102.classes)


def _listed(root: Path, number: int, labels: list[int], split: Split) -> ListedPicture:
    if not 1 <= number <= len(labels):
        raise DataError(f"{str(root / 'setid.mat')!r}: picture {number} has no label. Restore both .mat files.")
    mask = root / "segmim" / f"segmim_{number:05d}.jpg"
    annotations = (Annotation(mask, "cut-out"),) if mask.is_file() else ()
    return ListedPicture(f"jpg/image_{number:05d}.jpg", labels[number - 1], split, annotations=annotations)
