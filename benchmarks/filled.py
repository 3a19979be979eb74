"""A data set whose pictures are filled by their objects: each is cut to its true box.

    python benchmarks/filled.py DATA FOLDER --classes 20
    python benchmarks/results.py FOLDER OUT --rows plain field-marks

Object and mark have little to add there, and the centre box is the whole picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from wingbar.data import load
from wingbar.data.sample import Dataset
from wingbar.images import read_picture


def write_filled(dataset: Dataset, folder: Path) -> None:
    """Write the set in the layout of CUB-200-2011. Raises ValueError for a sample without a box."""
    lists: dict[str, list[str]] = {name: [] for name in ("images", "image_class_labels", "train_test_split")}
    boxes = []
    for number, sample in enumerate(dataset.samples, 1):
        if sample.box is None:
            raise ValueError(f"{sample.path}: has no box")
        name = Path(sample.key).relative_to("images").with_suffix(".png")
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        x1, y1, x2, y2 = map(round, sample.box)
        cut = Image.fromarray(read_picture(sample.path).pixels[max(y1, 0) : y2, max(x1, 0) : x2])
        cut.save(folder / "images" / name)
        lists["images"].append(f"{number} {name.as_posix()}")
        lists["image_class_labels"].append(f"{number} {sample.label + 1}")
        lists["train_test_split"].append(f"{number} {int(sample.split == 'train')}")
        boxes.append(f"{number} 0 0 {cut.width} {cut.height}")
    lists["bounding_boxes"] = boxes
    lists["classes"] = [f"{number} {name}" for number, name in enumerate(dataset.classes, 1)]
    for file, lines in lists.items():
        (folder / f"{file}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Read, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--classes", type=int, default=0, help="the first so many classes; 0: all")
    options = parser.parse_args()
    dataset = load(options.data)
    write_filled(dataset.first_classes(options.classes) if options.classes else dataset, options.folder)


if __name__ == "__main__":
    main()
