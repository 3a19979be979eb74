"""The published data sets in their owners' layouts: against torchvision's readers, against damage, against malice."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import published
import pytest
from PIL import Image
from published import cells, structs
from scipy.io import savemat
from torchvision import datasets

from wingbar.boxes import box_of_mask
from wingbar.data import Dataset, load
from wingbar.data.layouts import _matlab_child, matlab
from wingbar.data.layouts.annotations import with_boxes, xml_boxes
from wingbar.data.layouts.official import Published, assemble
from wingbar.data.sample import Keypoint
from wingbar.errors import DataError


def here(file: Path, names: tuple[str, ...]) -> dict:
    """The child's work without a child, which would take most of the time."""
    try:
        return _matlab_child.variables(str(file), list(names))
    except Exception as error:
        raise ValueError(str(error)) from None


@pytest.fixture(autouse=True)
def _without_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "in_a_child" not in request.fixturenames:
        monkeypatch.setattr(matlab, "_in_a_child", here)


@pytest.fixture
def in_a_child() -> None:
    """MATLAB files are read as users' are."""


@pytest.fixture
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return published.BUILDERS[request.param](tmp_path)


def pairs(dataset: Dataset, split: str) -> set[tuple[str, str]]:
    """Each picture's path and the name of its class."""
    return {(str(one.path), dataset.classes[one.label]) for one in dataset.split(split)}


def test_cars_are_what_torchvision_reads(tmp_path: Path) -> None:
    dataset = load(published.cars(tmp_path))
    for split in ("train", "test"):
        theirs = datasets.StanfordCars(tmp_path, split)
        assert pairs(dataset, split) == {(path, theirs.classes[label]) for path, label in theirs._samples}
    assert dataset.classes == tuple(published.CAR_NAMES)
    assert dataset.samples[1].box == (1.0, 1.0, 12.0, 9.0)  # from 2, 2 to 12, 9, counted from 1, ends inside


def test_both_editions_of_the_cars_say_the_same(tmp_path: Path) -> None:
    one, other = load(published.cars(tmp_path)), load(published.joint_cars(tmp_path))
    assert one.classes == other.classes and one.layout == other.layout == "Cars-196"
    assert [(s.label, s.split, s.box) for s in one.split("train")] == [
        (s.label, s.split, s.box) for s in other.split("train")
    ]
    assert [s.label for s in one.split("test")] == [s.label for s in other.split("test")]


def test_cars_without_labels_of_the_test(tmp_path: Path) -> None:
    home = published.cars(tmp_path)
    (home / "cars_test_annos_withlabels.mat").unlink()
    dataset = load(home)
    assert len(dataset.split("train")) == 6 and dataset.split("test") == ()
    assert "cars_test_annos_withlabels.mat" in dataset.describe()


def test_pets_are_what_torchvision_reads(tmp_path: Path) -> None:
    dataset = load(published.pets(tmp_path))
    for split, theirs_split in (("train", "trainval"), ("test", "test")):
        theirs = datasets.OxfordIIITPet(tmp_path, theirs_split)
        expected = {
            (str(path), theirs.classes[label]) for path, label in zip(theirs._images, theirs._labels, strict=True)
        }
        named = {(path, name.replace("_", " ").title()) for path, name in pairs(dataset, split)}
        assert named == expected
    assert dataset.classes == tuple(published.PETS)


def test_outlines_and_heads_of_pets(tmp_path: Path) -> None:
    home = published.pets(tmp_path)
    dataset = load(home)
    assert all(s.box is None and s.keypoints == () for s in dataset.samples)  # nothing is decoded yet
    known = with_boxes(dataset)
    theirs = datasets.OxfordIIITPet(tmp_path, target_types="segmentation")
    rows, columns = np.nonzero(np.asarray(theirs[0][1]) != 2)
    assert known.samples[0].box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (5, 4, 15, 12)
    assert known.samples[0].keypoints == (Keypoint("head", 5.0, 6.0),) and known.samples[1].keypoints == ()


def test_flowers_are_what_torchvision_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.Flowers102, "_check_integrity", lambda self: True)
    dataset = load(published.flowers(tmp_path))
    for split, parts in (("train", ("train", "val")), ("test", ("test",))):
        expected = set()
        for part in parts:
            theirs = datasets.Flowers102(tmp_path, part)
            both = zip(theirs._image_files, theirs._labels, strict=True)
            expected |= {(str(path), theirs.classes[label]) for path, label in both}
        assert pairs(dataset, split) == expected
    assert dataset.classes == ("pink primrose", "passion flower", "blackberry lily")


def test_cut_outs_of_flowers(tmp_path: Path) -> None:
    known = {sample.key: sample.box for sample in with_boxes(load(published.flowers(tmp_path))).samples}
    assert known["jpg/image_00001.jpg"] == (8, 8, 24, 16) and known["jpg/image_00002.jpg"] is None


@pytest.mark.parametrize("level", ["variant", "family"])
def test_aircraft_are_what_torchvision_reads(tmp_path: Path, level: str) -> None:
    home = published.aircraft(tmp_path)
    dataset = load(home if level == "variant" else home / "data/families.txt")
    for split, theirs_split in (("train", "trainval"), ("test", "test")):
        theirs = datasets.FGVCAircraft(tmp_path, theirs_split, level)
        expected = {
            (path, theirs.classes[label]) for path, label in zip(theirs._image_files, theirs._labels, strict=True)
        }
        assert pairs(dataset, split) == expected
    assert dataset.samples[1].box == (0.0, 1.0, 11.0, 12.0)
    assert load(dataset.source) == dataset and "lowest 20 pixels" in dataset.note
    assert dataset.samples[0].path.is_file() and load(home / "data").classes == load(home).classes


def test_dogs_and_their_largest_boxes(tmp_path: Path) -> None:
    dataset = load(published.dogs(tmp_path))
    assert dataset.classes == tuple(published.DOGS)
    assert [(s.key, s.label) for s in dataset.split("test")] == [
        (f"Images/{breed}/{breed[:9]}_3.jpg", label) for label, breed in enumerate(published.DOGS)
    ]
    assert {sample.box for sample in with_boxes(dataset).samples} == {(4.0, 2.0, 20.0, 16.0)}
    home = dataset.root
    (home / "lists").mkdir()
    for split in ("train", "test"):
        (home / f"{split}_list.mat").rename(home / "lists" / f"{split}_list.mat")
    assert load(home).samples == dataset.samples


@pytest.mark.parametrize("home", published.BUILDERS, indirect=True)
def test_a_small_set_says_that_it_is_a_subset(home: Path) -> None:
    assert "; a subset: published are" in load(home).describe()


def test_missing_pictures_are_counted_and_classes_without_pictures_left_out(tmp_path: Path) -> None:
    home = published.pets(tmp_path)
    for path in (home / "images").glob("Abyssinian_*.jpg"):
        path.unlink()
    dataset = load(home)
    assert dataset.classes == ("american_bulldog", "Bombay") and {s.label for s in dataset.samples} == {0, 1}
    assert "3 listed pictures are not there, first 'images/Abyssinian_1.jpg'" in dataset.note
    shutil.rmtree(home / "images")
    with pytest.raises(DataError, match="none of the 9 listed pictures is there"):
        load(home)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [((3, 6, 3), "complete, as published: 6 training and 3 test pictures of 3 classes"),
     ((4, 7, 9), "a subset: published are 7 training and 9 test pictures of 4 classes"),
     ((3, 3, 6), "NOT as published, which is 3 training and 6 test pictures of 3 classes")],
)  # fmt: skip
def test_sizes_are_held_against_the_published_ones(tmp_path: Path, sizes: tuple[int, int, int], told: str) -> None:
    """The last: splits swapped, as often happens to the flowers."""
    home = published.cars(tmp_path)
    loaded = load(home)
    listed = [published_as(sample, loaded) for sample in loaded.samples]
    dataset = assemble(home, Published("Cars-196", *sizes), listed, dict(enumerate(loaded.classes)))
    assert dataset.note.startswith(told)


def published_as(sample, dataset):
    from wingbar.data.layouts.official import ListedPicture

    return ListedPicture(sample.key, sample.label, sample.split)


def test_the_published_sizes() -> None:
    """As the papers state them; Flowers' 1,020 + 1,020 are both learnt from."""
    from wingbar.data.layouts import aircraft, cars, dogs, flowers, pets

    sizes = {
        one.layout: (one.classes, one.train, one.test)
        for one in (*(m.PUBLISHED for m in (cars, pets, flowers, dogs)), *(p for _, p in aircraft.LEVELS.values()))
    }  # fmt: skip
    assert sizes == {
        "Cars-196": (196, 8144, 8041),
        "Oxford-IIIT Pet": (37, 3680, 3669),
        "Oxford-Flower-102": (102, 1020 + 1020, 6149),
        "FGVC-Aircraft": (100, 6667, 3333),
        "FGVC-Aircraft by family": (70, 6667, 3333),
        "FGVC-Aircraft by manufacturer": (30, 6667, 3333),
        "Stanford Dogs": (120, 12_000, 8580),
    }
    assert len(flowers._names()) == 102 == len(set(flowers._names()))


def rewrite_car(home: Path, **change: object) -> None:
    rows = [
        {**published.sides(row), "class": np.uint8(row + 1), "fname": f"0000{row + 1}.jpg"} for row in range(2)
    ]  # fmt: skip
    savemat(home / "devkit/cars_train_annos.mat", {"annotations": published.structs([rows[0], {**rows[1], **change}])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fname": "../../etc/passwd"}, "annotations 2: .*leads out of"),
        ({"fname": "/etc/passwd"}, "annotations 2: .*not relative"),
        ({"fname": "C:\\x.jpg"}, "not relative"),
        ({"fname": np.uint8(3)}, "annotations 2: no text"),
        ({"fname": "00001.jpg"}, "'cars_train/00001.jpg' is listed twice"),
        ({"class": np.uint8(200)}, "class 200 of .* has no name"),
        ({"class": 1.5}, "annotations 2: no whole number"),
        ({"class": -1.0}, "no whole number"),
        ({"class": float("nan")}, "no whole number"),
        ({"class": np.arange(3)}, "no whole number"),
        ({"bbox_x1": "left"}, "no whole number"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, change: dict, message: str) -> None:
    home = published.cars(tmp_path)
    rewrite_car(home, **change)
    with pytest.raises(DataError, match=message) as caught:
        load(home)
    assert str(caught.value).isprintable()


def test_an_empty_box_is_no_box(tmp_path: Path) -> None:
    home = published.cars(tmp_path)
    (home / "cars_test_annos_withlabels.mat").unlink()
    rows = [{**published.sides(0), "class": np.uint8(label), "fname": f"0000{label}.jpg"} for label in (1, 2)]
    rows += [
        {**published.sides(11 + label), "class": np.uint8(label), "fname": f"0000{label + 2}.jpg"} for label in (1, 2)
    ]
    savemat(home / "devkit/cars_train_annos.mat", {"annotations": published.structs(rows)})
    assert [sample.box is None for sample in load(home).samples] == [False, False, True, True]


@pytest.mark.parametrize(
    "content", [b"", b"MATLAB 5.0 MAT-file" + bytes(200), b"junk" * 99], ids=["none", "head", "junk"]
)
@pytest.mark.parametrize(
    ("home", "name"),
    [("cars", "devkit/cars_meta.mat"), ("cars", "devkit/cars_train_annos.mat"), ("flowers", "setid.mat"),
     ("dogs", "test_list.mat")],
    indirect=["home"],
)  # fmt: skip
def test_a_damaged_matlab_file_is_named(home: Path, name: str, content: bytes) -> None:
    (home / name).write_bytes(content)
    with pytest.raises(DataError, match=Path(name).name) as caught:
        load(home)
    assert str(caught.value).isprintable()


def test_a_child_reads_the_same(tmp_path: Path, in_a_child: None) -> None:
    file = published.cars(tmp_path) / "devkit/cars_train_annos.mat"
    read = matlab.read_matlab(file, "annotations")
    assert read == here(file, ("annotations",))
    assert read["annotations"][1] == {
        "bbox_x1": 2,
        "bbox_y1": 2,
        "bbox_x2": 12,
        "bbox_y2": 9,
        "class": 1,
        "fname": "00002.jpg",
    }


def test_a_file_that_crashes_its_reader_is_named(tmp_path: Path, in_a_child: None) -> None:
    """A data type that there is not: SciPy 1.17 ends with a segmentation fault."""
    home = published.flowers(tmp_path)
    content = bytearray((home / "imagelabels.mat").read_bytes())
    at = content.index(b"labels") + 8
    content[at] = 8
    (home / "imagelabels.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"imagelabels.mat' cannot be read as a MATLAB file"):
        load(home)


@pytest.mark.parametrize(
    ("home", "name", "variables", "message"),
    [
        ("flowers", "setid.mat", {"trnid": [1], "valid": [11], "tstid": [2]}, "picture 11 has no label"),
        ("flowers", "setid.mat", {"trnid": [1], "valid": [0], "tstid": [2]}, "picture 0 has no label"),
        ("flowers", "setid.mat", {"trnid": [1], "valid": [1], "tstid": [2]}, "listed twice"),
        ("flowers", "setid.mat", {"trnid": [1], "tstid": [2]}, "'valid' is not in it"),
        ("flowers", "imagelabels.mat", {"labels": np.zeros((0, 0))}, "is empty"),
        ("flowers", "imagelabels.mat", {"labels": np.zeros((1, 1_000_001), np.uint8)}, "more than 1,000,000 entries"),
        ("flowers", "imagelabels.mat", {"labels": [103] * 10}, "class 103 of .* has no name"),
        ("cars", "devkit/cars_meta.mat", {"class_names": cells(["a", "b", "a"])}, "used twice: 'a'"),
        ("cars", "devkit/cars_train_annos.mat", {"annotations": structs([{"fname": "a"}])}, "no field 'class'"),
        ("cars", "devkit/cars_train_annos.mat", {"annotations": [1, 2]}, "no field 'fname'"),
        ("dogs", "test_list.mat", {"file_list": cells(["a/b.jpg", "a/c.jpg"]), "labels": [1]}, "2 files, but 1 label"),
        ("dogs", "test_list.mat", {"file_list": cells(["a/../../b.jpg"]), "labels": [1]}, "leads out of"),
        ("dogs", "test_list.mat", {"file_list": cells(["b.jpg"]), "labels": [1]}, "in no breed's folder"),
        ("dogs", "test_list.mat", {"file_list": cells(["a/b.jpg"]), "labels": [1]}, "class 1 is 'n02.* already"),
    ],
    indirect=["home"],
)  # fmt: skip
def test_lists_that_contradict_are_named(home: Path, name: str, variables: dict, message: str) -> None:
    savemat(home / name, variables)
    with pytest.raises(DataError, match=message):
        load(home)


@pytest.mark.parametrize(
    ("home", "name", "old", "new", "message"),
    [
        ("pets", "annotations/test.txt", "Bombay_10 3", "../../x_10 3", "line 3: .*leads out of"),
        ("pets", "annotations/test.txt", "Bombay_10 3", "x/Bombay_10 3", "is not BREED_NUMBER"),
        ("pets", "annotations/test.txt", "Bombay_10 3", "Bombay 3", "'Bombay' is not BREED_NUMBER"),
        ("pets", "annotations/test.txt", "Bombay_10 3", "Bombay_10 1", "class 1 is both 'Abyssinian' and 'Bombay'"),
        ("pets", "annotations/test.txt", "Bombay_10 3 1 2", "Bombay_10 3", "line 3: 4 fields expected, found 2"),
        ("pets", "annotations/test.txt", "Bombay_10", "Bombay_1", "listed twice"),
        ("aircraft", "data/images_variant_test.txt", "707-320", "797", "line 1: '797' is not among the names"),
        ("aircraft", "data/images_variant_test.txt", "0450014", "../../x", "leads out of"),
        ("aircraft", "data/images_box.txt", "0034309 1 2 10 12", "0034309 9 2 3 12", "line 1: a box from 9, 2 to 3"),
        ("aircraft", "data/images_box.txt", "0034309 1 2 10", "0034309 1 2 nan", "'nan' is not a number"),
    ],
    indirect=["home"],
)  # fmt: skip
def test_a_damaged_line_is_named(home: Path, name: str, old: str, new: str, message: str) -> None:
    content = (home / name).read_text()
    assert old in content
    (home / name).write_text(content.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as caught:
        load(home)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("home", "name"),
    [("cars", "devkit/cars_meta.mat"), ("pets", "annotations/test.txt"), ("flowers", "setid.mat"),
     ("aircraft", "data/variants.txt"), ("aircraft", "data/images_variant_test.txt"), ("dogs", "test_list.mat")],
    indirect=["home"],
)  # fmt: skip
def test_a_missing_list_is_named(home: Path, name: str) -> None:
    (home / name).unlink()
    with pytest.raises(DataError, match=f"{Path(name).name}' is missing"):
        load(home)


BOMB = (
    '<!DOCTYPE a [<!ENTITY x "ha">'
    + "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 10)).replace("&x0;", "&x;")
    + "]><annotation>&x9;</annotation>"
)
HOSTILE = {
    "entities that swell": BOMB.encode(),
    "entities that swell, UTF-16": BOMB.encode("utf-16"),
    "a file from outside": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
    "a document type": b'<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><annotation/>',
    "too large": b"<annotation>" + b" " * (64 << 10) + b"</annotation>",
    "deep": b"<a>" * 8_000,
    "cut off": published.HEAD.encode()[:80],
    "an unknown encoding": b'<?xml version="1.0" encoding="x-none"?><annotation/>',
    "no numbers": published.HEAD.replace("<xmin>2", "<xmin>two").encode(),
    "infinite": published.HEAD.replace("<xmin>2", "<xmin>inf").encode(),
    "a side missing": published.HEAD.replace("<ymin>3</ymin>", "").encode(),
    "nothing": b"",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_xml_is_refused(tmp_path: Path, case: str) -> None:
    file = tmp_path / "a.xml"
    file.write_bytes(HOSTILE[case])
    with pytest.raises(DataError, match="cannot be read as an annotation") as caught:
        xml_boxes(file)
    assert len(str(caught.value)) < 500


def test_xml_without_a_box_gives_none(tmp_path: Path) -> None:
    file = tmp_path / "a.xml"
    file.write_text("<annotation><object/></annotation>")
    assert xml_boxes(file) == []
    file.write_text(published.HEAD.replace("<xmax>8", "<xmax>2"))
    assert xml_boxes(file) == []


@pytest.mark.parametrize("mode", ["RGB", "1"])
def test_a_picture_that_is_no_trimap_is_named(tmp_path: Path, mode: str) -> None:
    home = published.pets(tmp_path)
    trimap = home / "annotations/trimaps/Bombay_1.png"
    Image.new(mode, published.SIZE).save(trimap)
    with pytest.raises(DataError, match=r"Bombay_1\.png' cannot be read as a trimap"):
        with_boxes(load(home))
    trimap.write_bytes(b"junk")
    with pytest.raises(DataError, match=r"Bombay_1\.png' cannot be read as a trimap"):
        with_boxes(load(home))


def test_an_empty_mask_has_no_box() -> None:
    assert box_of_mask(np.zeros((4, 5), bool)) is None
