"""Stanford Dogs (Khosla et al., FGVC workshop 2011): 120 breeds from ImageNet, in ``Images/BREED/*.jpg``.

``train_list.mat`` and ``test_list.mat``, beside ``Images/`` or in ``lists/``, have ``file_list`` and ``labels`` (from
1); class names are those of the folders (``n02085620-Chihuahua``). ``Annotation/BREED/NAME``, where it is there, is
an XML file with a box for every dog: for evaluation, the largest is the object's.
"""

from __future__ import annotations

from pathlib import Path

from wingbar.data.checks import listed_key
from wingbar.data.layouts.matlab import read_matlab, texts, whole_numbers
from wingbar.data.layouts.official import ListedPicture, Published, assemble
from wingbar.data.sample import Annotation, Dataset, Split
from wingbar.errors import DataError

PUBLISHED = Published("Stanford Dogs", 120, 12_000, 8580)
_SPLITS: tuple[Split, ...] = ("train", "test")


def recognised(root: Path) -> bool:
    """Whether the list of training pictures is there."""
    return _list(root, "train") is not None


def read(root: Path) -> Dataset:
    """Read the folder. Raises DataError where a list is missing, damaged or contradicts itself."""
    listed: list[ListedPicture] = []
    names: dict[int, str] = {}
    for split in _SPLITS:
        file = _list(root, split)
        if file is None:
            raise DataError(f"{str(root / f'{split}_list.mat')!r} is missing. Restore it.")
        variables = read_matlab(file, "file_list", "labels")
        keys = texts(file, "file_list", variables["file_list"])
        labels = whole_numbers(file, "labels", variables["labels"])
        if len(keys) != len(labels):
            raise DataError(f"{str(file)!r}: {len(keys)} files, but {len(labels)} labels. Restore it.")
        for row, (name, label) in enumerate(zip(keys, labels, strict=True), 1):
            breed, key = _key(f"{str(file)!r}, file {row}", name)
            if names.setdefault(label, breed) != breed:
                raise DataError(f"{str(file)!r}, file {row}: class {label} is {names[label]!r} already. Restore it.")
            listed.append(ListedPicture(f"Images/{key}", label, split, annotations=_annotations(root, key)))
    return assemble(root, PUBLISHED, listed, names)


def _list(root: Path, split: Split) -> Path | None:
    files = (root / f"{split}_list.mat", root / "lists" / f"{split}_list.mat")
    return next((file for file in files if file.is_file()), None)


def _key(where: str, name: str) -> tuple[str, str]:
    """The breed's folder, and the picture's path."""
    try:
        key = listed_key(name)
    except ValueError as error:
        raise DataError(f"{where}: {error}. Restore the file.") from None
    breed, slash, _ = key.partition("/")
    if not slash:
        raise DataError(f"{where}: {name!r} is in no breed's folder. Restore the file.")
    return breed, key


def _annotations(root: Path, key: str) -> tuple[Annotation, ...]:
    file = (root / "Annotation" / key).with_suffix("")
    return (Annotation(file, "box"),) if file.is_file() else ()
