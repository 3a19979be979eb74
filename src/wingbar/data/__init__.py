"""Where pictures and labels come from: ``load(path)`` recognises the layout and returns a ``Dataset``."""

from __future__ import annotations

from pathlib import Path

from wingbar.data.checks import learnable, not_empty
from wingbar.data.layouts import aircraft, cars, cub, dogs, flowers, folder, pets, table
from wingbar.data.rows import TABLES
from wingbar.data.sample import Dataset, Keypoint, Sample, Skipped, Split
from wingbar.data.taxonomy import with_taxonomy
from wingbar.errors import DataError

_LAYOUTS = (cub, cars, pets, flowers, aircraft, dogs)

__all__ = ["Dataset", "Keypoint", "Sample", "Skipped", "Split", "load"]


def load(
    path: Path | str,
    root: Path | str | None = None,
    *,
    taxonomy: Path | str | None = None,
    to_learn: bool = True,
    fewest: int = 2,
) -> Dataset:
    """Read a data set, in whichever of the layouts it is:

    * a folder with ``images.txt``: CUB-200-2011's own layout, complete or cut down (``cub``);
    * a folder of Cars-196, Oxford-IIIT Pet, Oxford-Flower-102, FGVC-Aircraft or Stanford Dogs, as their owners
      publish them, complete or not: ``Dataset.note`` says which;
    * a folder ``CLASS/*.jpg``, all for training, or ``train/CLASS/*`` with ``test/CLASS/*`` (``folder``);
    * a ``.csv`` or ``.tsv`` file with the columns ``path,label[,split]`` (``table``); its paths start at the folder
      ``root``, by default the table's own.

    Each picture's header is checked, nothing is decoded. Files that are no pictures are listed in
    ``Dataset.skipped``. ``taxonomy`` is a table of the classes' groups, by default ``taxonomy.csv`` beside the pictures
    (`wingbar.data.taxonomy`). With ``to_learn`` off the set is to be judged on alone: it needs no training pictures and
    no second class; ``fewest`` is the least number of class folders that a folder has. Raises ``DataError``, with the
    place and the remedy, if no usable set results.
    """
    dataset = _read(path, root, fewest)
    return with_taxonomy(learnable(dataset), taxonomy) if to_learn else not_empty(dataset)


def _read(path: Path | str, root: Path | str | None, fewest: int) -> Dataset:
    place = _existing(path, "data set")
    try:
        if place.is_file() and place.suffix.lower() in TABLES:
            return table.read(place, None if root is None else _existing(root, "images root"))
        if root is not None:
            raise DataError(f"{str(place)!r} is no table, and an images root is for tables alone. Leave it away.")
        if place.is_dir():
            layout = next((layout for layout in _LAYOUTS if layout.recognised(place)), None)
            return folder.read(place, fewest) if layout is None else layout.read(place)
        if place.is_file() and aircraft.recognised(place):
            return aircraft.read(place)
    except OSError as error:
        problem = f"{str(error.filename)!r} cannot be read: {error.strerror}"
        raise DataError(f"data set {str(place)!r}: {problem}. Check its permissions.") from error
    raise DataError(
        f"{str(place)!r} is neither a folder nor a .csv or .tsv file. Give the data set's folder or its table."
    )


def _existing(path: Path | str, what: str) -> Path:
    """An absolute path without links, but that a link to a file stays: a table's paths start where its link lies."""
    if path == "":
        raise DataError(f"the path of the {what} is empty. Name it, or give '.' for the folder that you are in.")
    place = Path(path)
    try:
        real = place.resolve(strict=True)
        return place.parent.resolve() / place.name if real.is_file() else real
    except (OSError, RuntimeError, ValueError) as error:  # the latter two: a loop of links, a NUL character
        reason = "there is no such file or folder" if isinstance(error, FileNotFoundError) else str(error)
        raise DataError(f"cannot open the {what} {str(path)!r}: {reason}. Check the path.") from None
