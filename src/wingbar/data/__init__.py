"""Where pictures and labels come from: ``load(path)`` recognises the layout and returns a ``Dataset``."""

from __future__ import annotations

from pathlib import Path

from wingbar.data.layouts import aircraft, cars, cub, dogs, flowers, folder, pets, table
from wingbar.data.sample import Dataset, Keypoint, Sample, Skipped, Split
from wingbar.errors import DataError

_LAYOUTS = (cub, cars, pets, flowers, aircraft, dogs)

__all__ = ["Dataset", "Keypoint", "Sample", "Skipped", "Split", "load"]


def load(path: Path | str) -> Dataset:
    """Read a data set, in whichever of the layouts it is:

    * a folder with ``images.txt``: CUB-200-2011's own layout, complete or cut down (``cub``);
    * a folder of Cars-196, Oxford-IIIT Pet, Oxford-Flower-102, FGVC-Aircraft or Stanford Dogs, as their owners
      publish them, complete or not: ``Dataset.note`` says which;
    * a folder ``CLASS/*.jpg``, all for training, or ``train/CLASS/*`` with ``test/CLASS/*`` (``folder``);
    * a ``.csv`` file with the columns ``path,label[,split]`` (``table``).

    Each picture's header is looked at, nothing is decoded. Files that are no pictures are listed in
    ``Dataset.skipped``. Raises ``DataError``, with the place and the remedy, if no usable set results.
    """
    root = Path(path)
    try:
        root = root.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # the latter two: a loop of links, a NUL character
        reason = "there is no such file or folder" if isinstance(error, FileNotFoundError) else str(error)
        raise DataError(f"cannot open the data set {str(path)!r}: {reason}. Check the path.") from None
    try:
        if root.is_dir():
            layout = next((one for one in _LAYOUTS if one.recognised(root)), folder)
            return layout.read(root)
        if root.is_file() and root.suffix.lower() == ".csv":
            return table.read(root)
        if root.is_file() and aircraft.recognised(root):
            return aircraft.read(root)
    except OSError as error:
        problem = f"{str(error.filename)!r} cannot be read: {error.strerror}"
        raise DataError(f"data set {str(root)!r}: {problem}. Check its permissions.") from error
    raise DataError(f"{str(root)!r} is neither a folder nor a .csv file. Give the data set's folder or its table.")
