from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wingbar.data import load
from wingbar.errors import DataError

ROWS = """\
path,label,split
a/1.png,wren,train
a/2.png,wren,train
b 1.png,tern,train
b2.png,tern,train
b3.png,tern,test
"""
NAMES = ("a/1.png", "a/2.png", "b 1.png", "b2.png", "b3.png", "x,y.png")


def build(root: Path, text: str | bytes) -> Path:
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if not (root / name).exists():
            Image.new("L", (3, 3)).save(root / name)
    file = root / "birds.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return file


def test_a_table_is_read_as_written(tmp_path: Path) -> None:
    dataset = load(build(tmp_path, ROWS))
    assert (dataset.name, dataset.layout, dataset.classes) == ("birds", "table", ("tern", "wren"))
    assert [(s.key, s.label, s.split) for s in dataset.samples] == [
        ("a/1.png", 1, "train"),
        ("a/2.png", 1, "train"),
        ("b 1.png", 0, "train"),
        ("b2.png", 0, "train"),
        ("b3.png", 0, "test"),
    ]
    assert all(sample.path == dataset.root / sample.key for sample in dataset.samples)


def test_column_order_case_mark_line_ends_and_other_columns_do_not_matter(tmp_path: Path) -> None:
    expected = load(build(tmp_path, ROWS)).samples
    rows = [line.split(",") for line in ROWS.splitlines()[1:]]
    text = "Split, LABEL ,photographer,Path\r\n"
    text += "".join(f"{split.title()}, {label} ,Ann,./{path}\r\n\r\n" for path, label, split in rows)
    assert load(build(tmp_path, b"\xef\xbb\xbf" + text.encode())).samples == expected


def test_without_split_all_are_for_training(tmp_path: Path) -> None:
    text = 'path,label\na/1.png,"wren, small"\n"x,y.png","wren, small"\nb2.png,tern\nb3.png,tern\n'
    dataset = load(build(tmp_path, text))
    assert dataset.classes == ("tern", "wren, small") and len(dataset.split("train")) == 4


def test_groups_are_read_and_change_what_training_depends_on(tmp_path: Path) -> None:
    before = load(build(tmp_path, ROWS)).training_fingerprint()
    header, *lines = ROWS.splitlines()
    grouped = load(build(tmp_path, "\n".join([f"{header},group", *(f"{line},pond" for line in lines)])))
    assert {sample.group for sample in grouped.samples} == {"pond"} and grouped.training_fingerprint() != before


def test_missing_and_false_pictures_are_skipped_and_named(tmp_path: Path) -> None:
    (tmp_path / "fake.png").write_text("junk")
    (tmp_path / "folder.png").mkdir()
    text = ROWS + "gone.png,tern,test\nfake.png,tern,test\nfolder.png,tern,test\nbirds.csv,tern,test\n"
    dataset = load(build(tmp_path, text))
    assert {s.path.name: s.reason.split(" (")[0] for s in dataset.skipped} == {
        "gone.png": "no such file",
        "fake.png": "not a picture of a known format",
        "folder.png": "not a regular file",
        "birds.csv": "not a picture's extension: '.csv'",
    }


ERRORS = {
    "empty": ("", "line 1: no header"),
    "no header": ("a/1.png,wren\n", "no column 'path' among"),
    "mistyped": ("path,labels\n", r"unknown column 'labels'. Did you mean 'label'\?"),
    "mistyped split": (ROWS.replace("split", "spilt"), r"unknown column 'spilt'. Did you mean 'split'\?"),
    "semicolons, other names": (
        ROWS.replace(",", ";").replace("path", "bird"),
        "no column 'path' among 'bird', 'label'",
    ),
    "twice a column": ("path,label,Path\n", "column 'path' is there twice"),
    "short row": (ROWS + "b3.png\n", "line 7: 1 field, but 3 columns"),
    "long row": (ROWS + "x,y.png,tern,test\n", "line 7: 4 fields, but 3 columns.*quote"),
    "no label": (ROWS + "q.png, ,test\n", "line 7: the label is empty"),
    "no path": (ROWS + " ,tern,test\n", "line 7: '' is no path"),
    "listed twice": (ROWS + "./b3.png,tern,train\n", "line 7: 'b3.png' is listed already in line 6"),
    "unknown split": (
        ROWS + "q.png,tern,tset\n",
        r"line 7: the split 'tset' is neither.*Did you mean 'test'\?",
    ),
    "validation": (ROWS + "q.png,tern,val\n", "line 7: 'val' is not a split.*cuts its own.*in place of each 'val'"),
    "no split": (
        ROWS + "q.png,tern,\n",
        "line 7: the split '' is neither.*Write one of these into the column 'split' of each row",
    ),
    "upwards": (ROWS + "../q.png,tern,test\n", "line 7: '../q.png' is not inside"),
    "absolute": (ROWS + "/q.png,tern,test\n", "line 7: '/q.png' is not inside"),
    "open quote": (ROWS + '"q.png,tern,test\n', "line 7: unexpected end of data"),
    "long field": (ROWS + "q" * 200_000 + ",tern,test\n", "line 7: field larger than field limit"),
    "no text": (ROWS.encode() + b"\xff\xfe,tern,test\n", "no UTF-8 text"),
    "nothing there": ("path,label\nq.png,tern\nr.png,wren\n", "no picture found. 2 files were skipped"),
    "rows missing": ("path,label\n", "no picture found"),
    "one class": ("path,label\nb2.png,tern\nb3.png,tern\n", "only one class, 'tern'"),
    "too few": ("path,label\nb2.png,tern\nb3.png,tern\na/1.png,wren\n", r"in 'wren' \(1\)"),
    "untrained": (
        ROWS + '"x,y.png",swan,test\n',
        "no training pictures for .* 'swan'",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_unusable_table_says_why_and_where(tmp_path: Path, case: str) -> None:
    text, message = ERRORS[case]
    with pytest.raises(DataError, match=message) as caught:
        load(build(tmp_path, text))
    assert str(caught.value).isprintable()


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(st.sampled_from('ab12.png/,;"\n\r \0\\trainesplh\ufeff\u2028'), max_size=60),
    at=st.integers(0, len(ROWS)),
)
def test_any_text_gives_a_data_set_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, at: int
) -> None:
    root = tmp_path_factory.getbasetemp() / "table"
    root.mkdir(exist_ok=True)
    try:
        dataset = load(build(root, ROWS[:at] + text + ROWS[at:]))
    except DataError as error:
        assert str(error).isprintable()
    else:
        assert all(sample.path.resolve().is_relative_to(root.resolve()) for sample in dataset.samples)
