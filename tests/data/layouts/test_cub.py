from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wingbar.data import Dataset, Keypoint, load
from wingbar.errors import DataError
from wingbar.images import picture_size

# Two used classes with a gap in their ids, one class without pictures, ids in no order.
FILES = {
    "images.txt": "7 020.B/x y.jpg\n1 003.A/1.jpg\n2 003.A/2.jpg\n9 020.B/9.jpg\n5 003.A/5.jpg\n",
    "classes.txt": "3 003.A\n11 011.Unused one\n20 020.B\n",
    "image_class_labels.txt": "1 3\n2 3\n5 3\n7 20\n9 20\n",
    "train_test_split.txt": "1 1\n2 1\n5 0\n7 1\n9 1\n",
    "bounding_boxes.txt": "1 1.0 2.0 3.5 4.0\n2 0 0 9 9\n5 0 0 9 9\n7 0 0 9 9\n9 0 0 9 9\n",
    "parts/parts.txt": "1 bill\n2 left eye\n",
    "parts/part_locs.txt": "1 1 4.5 5.5 1\n1 2 0.0 0.0 0\n2 2 1 1 1\n2 1 2 2 1\n",
}
KEYS = ("003.A/1.jpg", "003.A/2.jpg", "003.A/5.jpg", "020.B/x y.jpg", "020.B/9.jpg")


def build(root: Path) -> Path:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for key in KEYS:
        (root / "images" / key).parent.mkdir(parents=True, exist_ok=True)
        if not (root / "images" / key).exists():
            Image.new("RGB", (10, 10)).save(root / "images" / key)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return build(tmp_path / "birds")


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_all_that_the_lists_say_is_read(root: Path) -> None:
    dataset = load(root)
    assert (dataset.name, dataset.layout) == ("birds", "CUB-200-2011")
    assert dataset.classes == ("003.A", "020.B")
    assert dataset.keypoint_names == ("bill", "left eye")
    rows = [(s.key, s.label, s.split) for s in dataset.samples]
    assert rows == [
        ("images/003.A/1.jpg", 0, "train"),
        ("images/003.A/2.jpg", 0, "train"),
        ("images/003.A/5.jpg", 0, "test"),
        ("images/020.B/x y.jpg", 1, "train"),
        ("images/020.B/9.jpg", 1, "train"),
    ]
    assert all(sample.path == dataset.root / sample.key for sample in dataset.samples)
    assert dataset.samples[0].box == (1.0, 2.0, 4.5, 6.0)
    assert dataset.samples[0].keypoints == (Keypoint("bill", 4.5, 5.5),)
    assert {k.name for k in dataset.samples[1].keypoints} == {"bill", "left eye"}
    assert dataset.samples[2].keypoints == ()


def test_boxes_and_parts_are_optional(root: Path) -> None:
    (root / "bounding_boxes.txt").unlink()
    shutil.rmtree(root / "parts")
    dataset = load(root)
    assert all(s.box is None and s.keypoints == () for s in dataset.samples) and dataset.keypoint_names == ()


def test_windows_line_ends_byte_order_mark_and_blank_lines(root: Path) -> None:
    expected = load(root)
    for name, text in FILES.items():
        (root / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n  \r\n")
    assert load(root) == expected


def test_a_shortened_images_list_is_enough_for_a_subset(root: Path) -> None:
    replace(root / "images.txt", "5 003.A/5.jpg\n", "")
    assert len(load(root).samples) == 4 and load(root).split("test") == ()


def test_missing_and_false_pictures_are_skipped_and_named(root: Path) -> None:
    (root / "images/003.A/5.jpg").unlink()
    dataset = load(root)
    assert [(s.path.name, s.reason) for s in dataset.skipped] == [("5.jpg", "no such file")]
    (root / "images/020.B/9.jpg").write_text("junk")
    with pytest.raises(DataError, match=r"'020.B' \(1\).*2 files were skipped"):
        load(root)


ERRORS = {
    "twice": ("images.txt", "1 003.A/1.jpg", "2 003.A/1.jpg", "line 3: id 2 was given already in line 2"),
    "same picture": ("images.txt", "5 003.A/5.jpg", "5 003.A/./1.jpg", "line 5: the picture .* has the id 1"),
    "no number": ("images.txt", "1 003.A/1.jpg", "one 003.A/1.jpg", "line 2: 'one' is not a whole number"),
    "short line": ("images.txt", "1 003.A/1.jpg", "1", "line 2: 2 fields expected, found 1"),
    "digits of elsewhere": ("images.txt", "1 003.A/1.jpg", "² 003.A/1.jpg", "is not a whole number"),
    "long number": ("images.txt", "1 003.A", "9" * 5000 + " 003.A", "is not a whole number"),
    "upwards": ("images.txt", "003.A/1.jpg", "../../etc/passwd", "line 2: .* leads out of"),
    "upwards inside": ("images.txt", "003.A/1.jpg", "003.A/../003.A/2.jpg", "leads out of"),
    "upwards on Windows": ("images.txt", "003.A/1.jpg", "..\\\\secret.jpg", "leads out of"),
    "absolute": ("images.txt", "003.A/1.jpg", "/etc/passwd", "not relative"),
    "drive": ("images.txt", "003.A/1.jpg", "C:\\\\x.jpg", "not relative"),
    "no pictures": ("images.txt", FILES["images.txt"], "", "no picture found"),
    "missing label": ("image_class_labels.txt", "7 20\n", "", "no line for the image ids '7'"),
    "missing split": ("train_test_split.txt", "7 1\n", "", "no line for the image ids '7'"),
    "missing box": ("bounding_boxes.txt", "7 0 0 9 9\n", "", "no line for the image ids '7'"),
    "unknown class": ("image_class_labels.txt", "7 20", "7 21", "line 4: class id 21 is not in classes.txt"),
    "same name": ("classes.txt", "20 020.B", "20 003.A", "line 3: the class name '003.A' is used twice"),
    "split of two": ("train_test_split.txt", "7 1", "7 2", "line 4: '2' is neither 1"),
    "untrained": ("train_test_split.txt", "7 1\n9 1", "7 0\n9 0", "no training pictures for .* '020.B'"),
    "one class": ("image_class_labels.txt", "7 20\n9 20", "7 3\n9 3", "only one class"),
    "no box": ("bounding_boxes.txt", "1.0 2.0 3.5 4.0", "1.0 2.0 nan 4.0", "line 1: 'nan' is not a number"),
    "short box": ("bounding_boxes.txt", "1.0 2.0 3.5 4.0", "1.0 2.0 3.5", "5 fields expected, found 4"),
    "empty box": ("bounding_boxes.txt", "1.0 2.0 3.5 4.0", "1.0 2.0 0 4.0", "box of 0 x 4 pixels is empty"),
    "unknown part": ("parts/part_locs.txt", "1 1 4.5", "1 3 4.5", "line 1: part id 3 is not in parts.txt"),
    "part twice": ("parts/part_locs.txt", "1 2 0.0", "1 1 0.0", "given already in line 1"),
    "half visible": ("parts/part_locs.txt", "5.5 1", "5.5 0.5", "'0.5' is neither 1"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_damaged_list_is_named_with_its_line(root: Path, case: str) -> None:
    name, old, new, message = ERRORS[case]
    replace(root / name, old, new)
    with pytest.raises(DataError, match=message) as caught:
        load(root)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["images.txt", "classes.txt", "image_class_labels.txt", "train_test_split.txt"])
def test_a_missing_list_is_named(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(DataError, match=f"{name}' is missing"):
        load(root)
    os.mkfifo(root / name)
    with pytest.raises(DataError, match=f"{name}' is missing"):
        load(root)


def test_bytes_that_are_no_text(root: Path) -> None:
    (root / "classes.txt").write_bytes(b"3 \xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read as UTF-8 text"):
        load(root)


def test_two_layouts_at_once(root: Path) -> None:
    (root / "train" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match=r"two layouts at once.*'train'"):
        load(root)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(sorted(FILES)),
    text=st.text(st.sampled_from("0123 \n\t\r./-eBA\\\0_nai²\u2028\ufeff"), max_size=60),
    at=st.integers(0, 100),
)
def test_any_text_gives_a_data_set_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: str, at: int
) -> None:
    root = tmp_path_factory.getbasetemp() / "fuzzed"
    build(root)
    original = FILES[name]
    (root / name).write_text(original[:at] + text + original[at:], encoding="utf-8")
    try:
        dataset = load(root)
    except DataError as error:
        assert str(error).isprintable()
    else:
        assert all(sample.path.resolve().is_relative_to(root.resolve()) for sample in dataset.samples)


@pytest.fixture(scope="module")
def cub50(cub50: Path) -> Dataset:
    return load(cub50)


def test_fifty_real_classes(cub50: Dataset) -> None:
    """Counts of the official split of classes 1 to 50."""
    assert len(cub50.classes) == 50 and cub50.classes[49] == "050.Eared_Grebe"
    assert len(cub50.split("train")) == 1500 and len(cub50.split("test")) == 1389
    assert set(Counter(s.label for s in cub50.split("train")).values()) == {30}
    assert cub50.skipped == () and len(cub50.keypoint_names) == 15
    first = cub50.samples[0]
    assert (first.label, first.split) == (0, "test")
    assert first.box == pytest.approx((57.4, 25.8, 57.4 + 310.7, 25.8 + 290.4))
    assert first.keypoints[0] == Keypoint("beak", 298.3, 173.9)


def test_real_boxes_and_keypoints_lie_in_their_pictures(cub50: Dataset) -> None:
    beyond_edge = in_box = total = 0
    for sample in cub50.samples:
        width, height = picture_size(sample.path)
        assert sample.box is not None
        x1, y1, x2, y2 = sample.box
        assert 0 <= x1 < x2 and 0 <= y1 < y2
        beyond_edge += x2 > width + 1 or y2 > height + 1
        total += len(sample.keypoints)
        assert all(0 <= point.x <= width and 0 <= point.y <= height for point in sample.keypoints)
        in_box += sum(x1 <= point.x <= x2 and y1 <= point.y <= y2 for point in sample.keypoints)
    assert beyond_edge == 3  # annotated so: nothing here corrects the annotators
    assert total == 33_701 and in_box / total > 0.99


def test_the_first_real_classes(cub50: Dataset) -> None:
    few = cub50.first_classes(20)
    assert len(few.classes) == 20 and len(few.split("train")) == 600
    assert {sample.label for sample in few.samples} == set(range(20))
