"""Small data sets in the true layouts of the published ones, under the folder names that torchvision reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

SIZE = (24, 18)
HEAD = """<annotation><filename>x.jpg</filename><object><name>cat</name><bndbox>
<xmin>2</xmin><ymin>3</ymin><xmax>8</xmax><ymax>9</ymax></bndbox></object></annotation>"""
TWO_DOGS = """<annotation><filename>%s</filename>
<object><bndbox><xmin>0</xmin><ymin>1</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>
<object><bndbox><xmin>4</xmin><ymin>2</ymin><xmax>20</xmax><ymax>16</ymax></bndbox></object></annotation>"""


def picture(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE, (number * 7 % 256, 90, 30)).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def structs(rows: list[dict]) -> np.ndarray:
    """What MATLAB calls a struct array."""
    array = np.empty((1, len(rows)), [(name, object) for name in rows[0]])
    for column, row in enumerate(rows):
        array[0, column] = tuple(row.values())
    return array


def cells(values: list[str], column: bool = False) -> np.ndarray:
    array = np.empty((len(values), 1) if column else (1, len(values)), object)
    array.reshape(-1)[:] = values
    return array


def sides(number: int) -> dict:
    return {
        "bbox_x1": np.uint16(1 + number),
        "bbox_y1": np.uint16(2),
        "bbox_x2": np.uint16(12),
        "bbox_y2": np.uint16(9),
    }


CAR_NAMES = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012"]
CAR_LABELS = {"train": [2, 1, 3, 1, 2, 3], "test": [3, 1, 2]}


def cars(root: Path) -> Path:
    """Three classes: two training pictures and one test picture each, lists and folders apart."""
    home = root / "stanford_cars"
    (home / "devkit").mkdir(parents=True)
    for split, labels in CAR_LABELS.items():
        rows = [
            {**sides(row), "class": np.uint8(label), "fname": f"{row + 1:05}.jpg"} for row, label in enumerate(labels)
        ]
        name = home / "devkit/cars_train_annos.mat" if split == "train" else home / "cars_test_annos_withlabels.mat"
        savemat(name, {"annotations": structs(rows)})
        for row in range(len(labels)):
            picture(home / f"cars_{split}" / f"{row + 1:05}.jpg", row)
    savemat(home / "devkit/cars_meta.mat", {"class_names": cells(CAR_NAMES)})
    return home


def joint_cars(root: Path) -> Path:
    """The owners' second edition of the same: one folder of pictures and one list."""
    home = root / "cars"
    labels = [(label, split) for split, labels in CAR_LABELS.items() for label in labels]
    rows = [
        {"relative_im_path": f"car_ims/{row + 1:06}.jpg", **sides(row % 6), "class": np.uint8(label),
         "test": np.uint8(split == "test")}
        for row, (label, split) in enumerate(labels)
    ]  # fmt: skip
    for row in range(len(rows)):
        picture(home / rows[row]["relative_im_path"], row)
    savemat(home / "cars_annos.mat", {"annotations": structs(rows), "class_names": cells(CAR_NAMES)})
    return home


PETS = {"Abyssinian": (1, 1, 1), "american_bulldog": (2, 2, 1), "Bombay": (3, 1, 2)}


def pets(root: Path) -> Path:
    home = root / "oxford-iiit-pet"
    lists: dict[str, list[str]] = {"trainval": [], "test": []}
    for breed, numbers in PETS.items():
        for number in (1, 2, 10):
            name = f"{breed}_{number}"
            line = f"{name} {' '.join(map(str, numbers))}\n"
            lists["test" if number == 10 else "trainval"].append(line)
            picture(home / "images" / f"{name}.jpg", number)
            trimap = np.full(SIZE[::-1], 2, np.uint8)
            trimap[4:12, 5:15] = 3
            trimap[5:11, 6:14] = 1
            (home / "annotations/trimaps").mkdir(parents=True, exist_ok=True)
            Image.fromarray(trimap).save(home / "annotations/trimaps" / f"{name}.png")
            if number == 1:
                text(home / "annotations/xmls" / f"{name}.xml", HEAD)
    for split, lines in lists.items():
        text(home / "annotations" / f"{split}.txt", "".join(lines))
    head = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n"
    text(home / "annotations/list.txt", head + "".join(lists["trainval"] + lists["test"]))
    return home


FLOWER_LABELS = [77, 77, 1, 1, 77, 1, 102, 102, 102, 77]


def flowers(root: Path) -> Path:
    home = root / "flowers-102"
    for number in range(1, 11):
        picture(home / f"jpg/image_{number:05}.jpg", number)
    savemat(home / "imagelabels.mat", {"labels": np.array([FLOWER_LABELS], np.uint8)})
    sets = {"trnid": [4, 1, 7], "valid": [3, 8, 2], "tstid": [9, 6, 10, 5]}
    savemat(home / "setid.mat", {name: np.array([numbers], np.uint16) for name, numbers in sets.items()})
    (home / "segmim").mkdir()
    cut = np.full((*SIZE[::-1], 3), (0, 0, 254), np.uint8)
    cut[8:16, 8:24] = (220, 60, 120)
    Image.fromarray(cut).save(home / "segmim/segmim_00001.jpg", quality=95, subsampling=0)
    return home


VARIANTS = {"0034309": "707-320", "0034958": "A340-300", "0037511": "Boeing 717", "1025794": "707-320",
            "1340192": "A340-300", "0056978": "Boeing 717", "0450014": "707-320", "1042824": "Boeing 717"}  # fmt: skip
FAMILIES = {"707-320": "Boeing 707", "A340-300": "A340", "Boeing 717": "Boeing 707"}


def aircraft(root: Path) -> Path:
    home = root / "fgvc-aircraft-2013b"
    data, images = home / "data", list(VARIANTS)
    for number, image in enumerate(images):
        picture(data / f"images/{image}.jpg", number)
    text(data / "variants.txt", "".join(f"{name}\n" for name in FAMILIES))
    text(data / "families.txt", "A340\nBoeing 707\n")
    for split, part in (("trainval", images[:6]), ("test", images[6:])):
        text(data / f"images_variant_{split}.txt", "".join(f"{one} {VARIANTS[one]}\n" for one in part))
        text(data / f"images_family_{split}.txt", "".join(f"{one} {FAMILIES[VARIANTS[one]]}\n" for one in part))
    text(data / "images_box.txt", "".join(f"{one} 1 2 {10 + row} 12\n" for row, one in enumerate(images)))
    return home


DOGS = ["n02085620-Chihuahua", "n02085782-Japanese_spaniel"]


def dogs(root: Path) -> Path:
    home = root / "dogs"
    home.mkdir()
    for split, numbers in (("train", (7, 10)), ("test", (3,))):
        keys = [f"{breed}/{breed[:9]}_{number}.jpg" for breed in DOGS for number in numbers]
        labels = np.array([[label] for label, _ in enumerate(DOGS, 1) for _ in numbers], np.uint8)
        bare = [key.removesuffix(".jpg") for key in keys]
        lists = {"file_list": cells(keys, True), "annotation_list": cells(bare, True), "labels": labels}
        savemat(home / f"{split}_list.mat", lists)
        for key, name in zip(keys, bare, strict=True):
            picture(home / "Images" / key)
            text(home / "Annotation" / name, TWO_DOGS)
    return home


BUILDERS = {
    "cars": cars,
    "joint cars": joint_cars,
    "pets": pets,
    "flowers": flowers,
    "aircraft": aircraft,
    "dogs": dogs,
}
