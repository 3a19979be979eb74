"""A folder a class: ``CLASS/*.jpg``, all for training, or ``train/CLASS/*`` with ``test/CLASS/*``.

Class names are folder names; labels count them in sorted order. Pictures lie directly in their class's
folder; hidden files, other files and folders further down are listed in ``Dataset.skipped``. There is no
validation folder, for that set is cut out of training: ``val/`` is an error, not a guess. A folder
``train/`` that holds pictures and no folders is a class like any other (cars, planes and trains).
"""

from __future__ import annotations

from pathlib import Path

from wingbar.data.checks import (
    NO_VALIDATION,
    VALIDATION_NAMES,
    checked,
    is_hidden,
    named,
    only_pictures,
    unknown_test_classes,
    why_no_picture,
)
from wingbar.data.sample import Dataset, Sample, Skipped, Split
from wingbar.errors import DataError

_SPLITS: tuple[Split, ...] = ("train", "test")
_RESERVED = _SPLITS + VALIDATION_NAMES


def read(root: Path) -> Dataset:
    """Read either layout. Raises ``DataError`` if it is neither, both, or too small to train on."""
    folders, loose = _listing(root)
    if not folders and not loose:
        raise DataError(f"the folder {str(root)!r} is empty. Give a folder with one sub-folder per class.")
    splits = split_folders(root)
    if len(folders) < 2 and not splits:
        raise DataError(
            f"{str(root)!r} has fewer than two class folders.{_hint(folders, loose)} "
            "Put the pictures of each class into a folder of its own."
        )
    skipped = [Skipped(path, "not in a class folder") for path in loose]
    if splits:
        return _read_splits(root, folders, splits, skipped)
    return _read_classes(root, folders, skipped)


def split_folders(root: Path) -> dict[str, Path]:
    """The folders of ``root`` that name a split, by lower-case name; none in the layout ``CLASS/*``."""
    found = {folder.name.lower(): folder for folder in _listing(root)[0] if folder.name.lower() in _RESERVED}
    if list(found) == ["train"] and not _listing(found["train"])[0]:
        return {}
    return found


def _read_classes(root: Path, folders: list[Path], skipped: list[Skipped]) -> Dataset:
    classes = tuple(folder.name for folder in folders)
    samples = _samples(root, folders, classes, "train", skipped)
    return _dataset(root, "folder of classes", classes, samples, skipped)


def _read_splits(root: Path, folders: list[Path], splits: dict[str, Path], skipped: list[Skipped]) -> Dataset:
    where = f"data set {str(root)!r}"
    if set(splits) & set(VALIDATION_NAMES):
        name = next(name for name in splits if name in VALIDATION_NAMES)
        raise DataError(f"{where}: {splits[name].name!r} is not a split. {NO_VALIDATION}")
    others = [folder for folder in folders if folder not in splits.values()]
    with_pictures = [folder for folder in others if _has_pictures(folder)]
    if with_pictures:
        raise DataError(
            f"{where}: two layouts at once, {named(path.name for path in splits.values())} next to the class "
            f"folders {named(path.name for path in with_pictures)}. Move these into train/, or away."
        )
    classes = tuple(folder.name for folder in _listing(splits["train"])[0]) if "train" in splits else ()
    if not classes:
        raise DataError(
            f"{where}: no class folders in train/. "
            "Put the training pictures into train/CLASS/ and the test pictures into test/CLASS/."
        )
    skipped += [Skipped(folder, "neither train nor test") for folder in others]
    samples: list[Sample] = []
    for split in _SPLITS:
        if split in splits:
            class_folders, loose = _listing(splits[split])
            skipped += [Skipped(path, "not in a class folder") for path in loose]
            strangers = [folder for folder in class_folders if folder.name not in classes]
            unknown = [folder.name for folder in strangers if _has_pictures(folder)]
            if unknown:
                raise unknown_test_classes(where, unknown, classes)
            skipped += [Skipped(folder, "a folder without pictures") for folder in strangers]
            known = [folder for folder in class_folders if folder.name in classes]
            samples += _samples(root, known, classes, split, skipped)
    return _dataset(root, "folder with train and test", classes, samples, skipped)


def _samples(
    root: Path, folders: list[Path], classes: tuple[str, ...], split: Split, skipped: list[Skipped]
) -> list[Sample]:
    """Samples of the class folders; whatever else lies there is added to ``skipped``."""
    samples = []
    for folder in folders:
        label = classes.index(folder.name)
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                skipped.append(Skipped(path, "a folder inside a class folder"))
            else:
                samples.append(Sample(path, path.relative_to(root).as_posix(), label, split))
    kept, others = only_pictures(samples)
    skipped += others
    return list(kept)


def _dataset(
    root: Path, layout: str, classes: tuple[str, ...], samples: list[Sample], skipped: list[Skipped]
) -> Dataset:
    name = root.name or str(root)
    return checked(Dataset(root, name, layout, classes, tuple(samples), tuple(skipped)))


def _listing(folder: Path) -> tuple[list[Path], list[Path]]:
    """Visible sub-folders, and everything else, each sorted by name."""
    folders: list[Path] = []
    others: list[Path] = []
    for path in sorted(folder.iterdir()):
        (folders if path.is_dir() and not is_hidden(path) else others).append(path)
    return folders, others


def _has_pictures(folder: Path) -> bool:
    """Whether pictures lie in the folder or one level below it."""
    folders, loose = _listing(folder)
    return any(why_no_picture(path) is None for path in loose) or any(
        why_no_picture(path) is None for sub in folders for path in _listing(sub)[1]
    )


def _hint(folders: list[Path], loose: list[Path]) -> str:
    """Where the data set may be instead: a table beside the pictures, or one folder further down."""
    tables = [path for path in loose if path.suffix.lower() == ".csv"]
    further_down = [path for path in folders if _listing(path)[0]]
    return "".join(f" Did you mean {str(path)!r}?" for path in (tables + further_down)[:1])
