"""Cars-196 (Krause et al., 3dRR 2013): 196 makes, models and years, as the owners' devkit describes them.

Either ``cars_train/`` and ``cars_test/`` with ``cars_train_annos.mat`` and ``cars_test_annos_withlabels.mat``,
or ``car_ims/`` with ``cars_annos.mat``; class names from ``cars_meta.mat``. The lists lie in ``devkit/`` or beside
the pictures. Every record has ``class`` (from 1) and a box whose ends are counted from 1 and belong to it.
All 196 classes are kept apart: the OPAM release's own lists merge two of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wingbar.data.checks import listed_key
from wingbar.data.layouts.matlab import read_matlab, records, text, texts, whole_number
from wingbar.data.layouts.official import ListedPicture, Published, assemble
from wingbar.data.sample import Dataset, Split
from wingbar.errors import DataError

PUBLISHED = Published("Cars-196", 196, 8144, 8041)
_SIDES = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_LISTS = ("cars_train_annos.mat", "cars_annos.mat")


def recognised(root: Path) -> bool:
    """Whether one of the lists that only this data set has is there."""
    return any(_list(root, name) for name in _LISTS)


def read(root: Path) -> Dataset:
    """Read the folder. Raises DataError where a list is missing or damaged."""
    joint, train = _list(root, "cars_annos.mat"), _list(root, "cars_train_annos.mat")
    if train is None or (joint is not None and (root / "car_ims").is_dir()):
        assert joint is not None
        return assemble(root, PUBLISHED, _joint(joint), _names(root))
    listed = _separate(train, "cars_train", "train")
    test = _list(root, "cars_test_annos_withlabels.mat")
    if test is not None:
        return assemble(root, PUBLISHED, listed + _separate(test, "cars_test", "test"), _names(root))
    remark = "no test labels: put cars_test_annos_withlabels.mat into this folder to judge by the test pictures"
    return assemble(root, PUBLISHED, listed, _names(root), remark=remark)


def _list(root: Path, name: str) -> Path | None:
    return next((file for file in (root / "devkit" / name, root / name) if file.is_file()), None)


def _names(root: Path) -> dict[int, str]:
    file = _list(root, "cars_meta.mat") or _list(root, "cars_annos.mat")
    if file:
        return dict(enumerate(texts(file, "class_names", read_matlab(file, "class_names")["class_names"]), start=1))
    raise DataError(f"{str(root / 'devkit/cars_meta.mat')!r} is missing, which holds the class names. Restore it.")


def _separate(file: Path, folder: str, split: Split) -> list[ListedPicture]:
    rows = records(file, "annotations", ("fname", "class", *_SIDES))
    return [_listed(where, record, f"{folder}/", record["fname"], split) for where, record in rows]


def _joint(file: Path) -> list[ListedPicture]:
    listed = []
    for where, record in records(file, "annotations", ("relative_im_path", "class", "test", *_SIDES)):
        split: Split = "test" if whole_number(record["test"], where) else "train"
        listed.append(_listed(where, record, "", record["relative_im_path"], split))
    return listed


def _listed(where: str, record: dict[str, Any], folder: str, name: object, split: Split) -> ListedPicture:
    x1, y1, x2, y2 = (whole_number(record[side], where) for side in _SIDES)
    file = text(name, where)
    try:
        key = folder + listed_key(file)
    except ValueError as error:
        raise DataError(f"{where}: {error}. Restore the file.") from None
    box = (float(max(x1 - 1, 0)), float(max(y1 - 1, 0)), float(x2), float(y2))
    return ListedPicture(
        key, whole_number(record["class"], where), split, box if box[0] < box[2] and box[1] < box[3] else None
    )
