"""A folder a class: ``CLASS/*.jpg``, all for training, or ``train/CLASS/*`` with ``test/CLASS/*``.

Class names are folder names, in Unicode's NFC; labels count them in sorted order. Pictures lie directly in their
class's folder. Class folders may lie deeper (``GENUS/SPECIES/*.jpg``): then all do, at one depth, the class is named
by the innermost folder, and ``Dataset.taxonomy`` has the others. Trees of which only a part could be read so are
refused, with what to move. What is passed over in folders, see `wingbar.data.folders`, and files that are no pictures
are listed in ``Dataset.skipped``.

There is no validation folder, for that set is cut out of training: pictures in ``val/`` are an error, not a guess. A
folder ``train/`` that holds pictures and no folders is a class like any other (cars, planes and trains).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from wingbar._system.text import nfc, spelt_out
from wingbar.data.checks import (
    EXTENSIONS,
    NO_VALIDATION,
    VALIDATION_NAMES,
    named,
    only_pictures,
    unknown_test_classes,
)
from wingbar.data.folders import Folder, Tally, Walk, read_tree
from wingbar.data.rows import TABLES
from wingbar.data.sample import Dataset, Sample, Skipped, Split
from wingbar.data.taxonomy import of_folders
from wingbar.errors import DataError

_SPLITS: tuple[Split, ...] = ("train", "test")
_RESERVED = _SPLITS + VALIDATION_NAMES
_LIKE_A_SPLIT = {
    "train": re.compile(r"(^|[\W_\d])(train|training|trn)($|[\W_\d])", re.IGNORECASE),
    "test": re.compile(r"(^|[\W_\d])(test|testing|tst)($|[\W_\d])", re.IGNORECASE),
}


def read(root: Path, fewest: int = 2) -> Dataset:
    """Read either layout. Raises ``DataError`` if it is neither, both, or has less than ``fewest`` class folders."""
    skipped: list[Skipped] = []
    tree = read_tree(root, lambda path, reason: skipped.append(Skipped(path, reason)))
    where = f"data set {str(root)!r}"
    if not tree.folders and not tree.files:
        empty = "has nothing that could be read" if skipped else "is empty"
        raise DataError(
            f"the folder {str(root)!r} {empty}.{_first(skipped)} Give a folder with one sub-folder per class."
        )
    names = split_folders(root)
    splits = {name: folder for folder in tree.folders for name, path in names.items() if folder.path == path}
    _refuse_other_split_names(where, tree, splits)
    if len(tree.folders) < fewest and not splits:
        raise DataError(
            f"{str(root)!r} has fewer than two class folders.{_hint(tree)}{_first(skipped)} "
            "Put the pictures of each class into a folder of its own."
        )
    skipped += [Skipped(path, "not in a class folder") for path in tree.files]
    if splits:
        return _read_splits(where, tree, splits, skipped)
    folders = _class_folders(where, tree, skipped)
    samples = _samples(root, folders, sorted(folders), "train", skipped)
    return _dataset(root, "folder of classes", folders, samples, skipped)


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of ``root`` that name a split, by lower-case name; none in the layout ``CLASS/*``."""
    walk = Walk(root, Tally())
    names = {name.lower(): root / name for name in walk.entries(root)[0] if name.lower() in _RESERVED}
    if list(names) == ["train"] and not walk.entries(names["train"])[0]:
        return {}
    return names


def _read_splits(where: str, tree: Folder, splits: dict[str, Folder], skipped: list[Skipped]) -> Dataset:
    validation = [splits.pop(name) for name in VALIDATION_NAMES if name in splits]
    if full := next(filter(_holds_pictures, validation), None):
        name = full.path.name
        raise DataError(
            f"{where}: {name!r} {NO_VALIDATION}. Move the pictures of each {name}/CLASS into train/CLASS to learn from "
            "them too, or into test/CLASS to judge by them, or move the folder away."
        )
    rest = [folder for folder in tree.folders if folder not in splits.values()]
    with_pictures = [folder for folder in rest if _holds_pictures(folder)]
    if with_pictures:
        raise DataError(
            f"{where}: two layouts at once, {named(folder.path.name for folder in splits.values())} next to the class "
            f"folders {named(folder.path.name for folder in with_pictures)}. Move these into train/, or away."
        )
    skipped += [Skipped(folder.path, "neither train nor test") for folder in rest]
    if "train" not in splits or not splits["train"].folders:
        raise DataError(
            f"{where}: no class folders in train/. "
            "Put the training pictures into train/CLASS/ and the test pictures into test/CLASS/."
        )
    training: dict[str, Folder] = {}
    samples: list[Sample] = []
    for split in _SPLITS:
        if split not in splits:
            continue
        skipped += [Skipped(path, "not in a class folder") for path in splits[split].files]
        folders = _class_folders(where, splits[split], skipped)
        if split == "train":
            training = folders
        else:
            folders = _known(where, folders, training, skipped)
        samples += _samples(tree.path, folders, sorted(training), split, skipped)
    return _dataset(tree.path, "folder with train and test", training, samples, skipped)


def _known(
    where: str, folders: dict[str, Folder], training: dict[str, Folder], skipped: list[Skipped]
) -> dict[str, Folder]:
    """The test folders of classes that are learnt. Raises DataError where another one holds pictures."""
    unknown = {name: folder for name, folder in folders.items() if name not in training}
    with_pictures = [name for name, folder in unknown.items() if _holds_pictures(folder)]
    if with_pictures:
        raise unknown_test_classes(where, with_pictures, training)
    skipped += [Skipped(folder.path, "a folder without pictures") for folder in unknown.values()]
    return {name: folder for name, folder in folders.items() if name in training}


def _class_folders(where: str, tree: Folder, skipped: list[Skipped]) -> dict[str, Folder]:
    """Class name -> folder: the sub-folders, or in a tree the innermost folders, in the order of the names.

    Raises DataError where pictures lie at several depths, or where two folders have one name.
    """
    depths: dict[int, list[Folder]] = {}
    for folder, depth in _with_depth(tree.folders, 1):
        if _own_pictures(folder):
            depths.setdefault(depth, []).append(folder)
    if len(depths) > 1:
        shallow, deep = (depths[choose(depths)][0].path.relative_to(tree.path).as_posix() for choose in (min, max))
        raise DataError(
            f"{where}: class folders at several depths: pictures lie in {shallow!r} and in {deep!r}. One folder is one "
            f"class: move the pictures so that all class folders lie equally deep, or move {deep!r} away."
        )
    deepest = next(iter(depths), 1)
    classes = depths[deepest] if deepest > 1 else tree.folders
    if deepest > 1:
        _refuse_same_leaves(where, tree, classes)
    skipped += [
        Skipped(folder.path, "a folder without pictures")
        for folder, depth in _with_depth(tree.folders, 1)
        if depth > 1 and depth >= deepest and not _holds_pictures(folder)
    ]
    folders: dict[str, Folder] = {}
    for folder in classes:
        if (first := folders.setdefault(folder.name, folder)) is not folder:
            raise DataError(
                f"{where}: two folders have the same name, written in two ways: {spelt_out(first.path.name)} and "
                f"{spelt_out(folder.path.name)}. Move the pictures of both into one."
            )
    return dict(sorted(folders.items()))


def _refuse_same_leaves(where: str, tree: Folder, leaves: Sequence[Folder]) -> None:
    """Raises DataError where the innermost folders do not name the classes: ``CLASS/images``, or one name twice."""
    first_of: dict[str, Folder] = {}
    for leaf in leaves:
        first = first_of.setdefault(leaf.name, leaf)
        if first is leaf:
            continue
        places = [folder.path.relative_to(tree.path).as_posix() for folder in (first, leaf)]
        if len({folder.name for folder in leaves}) == 1:
            raise DataError(
                f"{where}: the pictures lie in folders of one name, as {places[0]!r} and {places[1]!r}. "
                f"Move the pictures of each {leaf.name!r} one folder up, into their class's folder."
            )
        raise DataError(
            f"{where}: two class folders have one name, {places[0]!r} and {places[1]!r}; in a tree the innermost "
            "folder names the class. Put the pictures of one class into one folder, or give the folders two names."
        )


def _refuse_other_split_names(where: str, tree: Folder, splits: dict[str, Folder]) -> None:
    """Raises DataError for ``training_set/CLASS`` and the like, which nothing but the name tells from a class."""
    renamed = {}
    for folder in tree.folders:
        split = next((split for split, like in _LIKE_A_SPLIT.items() if like.search(folder.name)), None)
        if split and folder not in splits.values() and any(map(_holds_pictures, folder.folders)):
            renamed[folder.path.name] = split
    if renamed:
        ways = " and ".join(f"{name!r} to {split!r}" for name, split in renamed.items())
        raise DataError(f"{where}: {named(renamed)} seem to be the splits. Rename {ways}.")


def _samples(
    root: Path, folders: dict[str, Folder], classes: Sequence[str], split: Split, skipped: list[Skipped]
) -> list[Sample]:
    """Samples of the class folders; whatever else lies there is added to ``skipped``."""
    samples = []
    for name, folder in folders.items():
        keys: set[str] = set()
        for path in folder.files:
            key = path.relative_to(root).as_posix()
            # the same on every machine; as it is written only where two names differ in nothing else
            key = key if nfc(key) in keys else nfc(key)
            keys.add(key)
            samples.append(Sample(path, key, classes.index(name), split))
    pictures, others = only_pictures(samples)
    skipped += others
    return list(pictures)


def _dataset(
    root: Path, layout: str, folders: dict[str, Folder], samples: list[Sample], skipped: list[Skipped]
) -> Dataset:
    classes = tuple(sorted(folders))
    above = {name: folder.path.relative_to(root).parts[:-1] for name, folder in folders.items()}
    parents = {name: tuple(nfc(part) for part in parts if part.lower() not in _SPLITS) for name, parts in above.items()}
    note, name = "", root.name or str(root)
    if any(parents.values()):
        groups = sorted({parts[0] for parts in parents.values()})
        note = f"a tree: classes are the {len(classes)} innermost folders, in {named(groups, 3)}"
    return Dataset(root, name, layout, classes, tuple(samples), tuple(skipped), note=note, taxonomy=of_folders(parents))


def _with_depth(folders: Iterable[Folder], depth: int) -> Iterable[tuple[Folder, int]]:
    for folder in folders:
        yield folder, depth
        yield from _with_depth(folder.folders, depth + 1)


def _own_pictures(folder: Folder) -> bool:
    return any(path.suffix.lower() in EXTENSIONS for path in folder.files)


def _holds_pictures(folder: Folder) -> bool:
    """Whether files named like pictures lie in the folder or anywhere below it."""
    return any(map(_own_pictures, folder.below()))


def _first(skipped: Sequence[Skipped]) -> str:
    """Half a sentence about what was passed over, where little else is there."""
    return f" {len(skipped)} passed over, first {str(skipped[0].path)!r}: {skipped[0].reason}." if skipped else ""


def _hint(tree: Folder) -> str:
    """What the data set may be instead: a table beside the pictures, one folder further down, or a table to write."""
    tables = [path for path in tree.files if path.suffix.lower() in TABLES]
    further_down = [folder.path for folder in tree.folders if folder.folders]
    hints = [f" Did you mean {str(path)!r}?" for path in (tables + further_down)[:1]]
    if not hints and _own_pictures(tree):
        hints = [" Pictures of all classes in one folder are named by a table with the columns path,label."]
    return "".join(hints)
