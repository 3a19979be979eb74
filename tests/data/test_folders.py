"""Folders as people's systems leave them: one way to list them, for training and for predicting alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from wingbar._system.files import OUTPUT_MARK, make_folder, mark_output
from wingbar._system.locks import locked
from wingbar.cli.models import expand
from wingbar.data import load
from wingbar.data.folders import Finder, Tally, skipped_lines
from wingbar.data.listing import listed
from wingbar.data.sample import Skipped
from wingbar.errors import DataError

NFC, NFD = "Zwergs\u00e4ger", "Zwergsa\u0308ger"


def fill(root: Path, folders: dict[str, int]) -> Path:
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", (6, 4), "green").save(root / folder / f"{number}.jpg")
    return root


def read_by(door: str, root: Path) -> set[str]:
    """The pictures that a door finds in a folder, relative to it."""
    match door:
        case "train":
            return {sample.path.relative_to(root).as_posix() for sample in load(root).samples}
        case "predict":
            return {path.relative_to(root).as_posix() for path in expand((root,))}
        case _:
            return {item.name for item in listed(root)}


DOORS = ("train", "predict", "predict-many")


@pytest.mark.parametrize("door", DOORS)
def test_every_door_reads_the_same_files(tmp_path: Path, door: str) -> None:
    root = fill(tmp_path / "set", {"crane": 2, "heron": 2})
    fill(
        root,
        {".trash": 1, "__MACOSX": 1, "crane/@eaDir/0.jpg": 1, "$RECYCLE.BIN": 1, "lost+found": 1, "out/pictures": 2}
        | {"Network Trash Folder": 1, "~snapshot/crane": 2},
    )
    (root / "out" / OUTPUT_MARK).touch()
    fill(root, {"model": 1})
    (root / "model" / "recognizer.json").touch()
    (root / "crane" / "._0.jpg").write_bytes(b"\0\5\26\7Mac OS X")
    for name in ("Thumbs.db", "Icon\r"):
        (root / "crane" / name).touch()
    fill(tmp_path / "card", {".": 2})
    (root / "ibis").symlink_to(tmp_path / "card", target_is_directory=True)
    (root / "again").symlink_to(tmp_path / "card", target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "self").symlink_to(root / "self")
    (root / "same").symlink_to(root / "crane", target_is_directory=True)
    (root / "gone").symlink_to(root / "nowhere")
    assert read_by(door, root) == {f"{name}/{n}.jpg" for name in ("crane", "heron", "again") for n in range(2)}


@pytest.mark.parametrize("door", DOORS)
def test_a_folder_that_may_not_be_listed_is_told(tmp_path: Path, door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path, {"crane": 2, "heron": 2, "crane/private": 0})

    def refused(ask: Callable[..., object], hidden: Callable[[Path], Path]) -> Callable[..., object]:
        def answer(path: Path, *rest: object, **options: object) -> object:
            if not isinstance(path, int) and hidden(Path(path)).name == "private":
                raise PermissionError(13, "Permission denied", str(path))
            return ask(path, *rest, **options)

        return answer

    # The tests may run as a user whom no permission stops.
    monkeypatch.setattr(os, "scandir", refused(os.scandir, lambda path: path))
    monkeypatch.setattr(os, "stat", refused(os.stat, lambda path: path.parent))
    with pytest.raises(DataError, match="private' cannot be read: Permission denied"):
        read_by(door, root)


def test_what_is_passed_over_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, {"a": 1, "__MACOSX": 1, "@eaDir": 2})
    for name in ("._0.jpg", "._1.jpg", "notes.txt"):
        (tmp_path / "a" / name).touch()
    assert len(expand((tmp_path,))) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        f"passed over {str(tmp_path / '@eaDir')!r}: written by the system",
        "passed over 1 more: written by the system",
        f"passed over {str(tmp_path / 'a' / '._0.jpg')!r}: hidden file",
        "passed over 1 more: hidden file",
        f"passed over {str(tmp_path / 'a' / 'notes.txt')!r}: not a picture's extension: '.txt'",
    ]
    tally = Tally()
    assert len(list(listed(tmp_path, pass_over=tally))) == 1 and len(tally.lines()) == 5
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / ".0.jpg").touch()
    with pytest.raises(DataError, match=r"no pictures in this folder .*hidden file"):
        expand((tmp_path / "b",))


def test_floods_are_counted() -> None:
    lines = skipped_lines([Skipped(Path(f"{n}.txt"), "no") for n in range(1000)] + [Skipped(Path("x"), "other")])
    assert lines[-2:] == ["skipped 997 more: no", "skipped 'x': other"] and len(lines) == 5


def test_our_own_folders_are_marked_and_the_users_are_not(tmp_path: Path) -> None:
    make_folder(tmp_path / "new")
    with locked(tmp_path / "run"):
        pass
    (tmp_path / "logged").mkdir()
    (tmp_path / "logged" / "train.log").touch()
    mark_output(tmp_path / "logged")
    assert all((tmp_path / name / OUTPUT_MARK).is_file() for name in ("new", "run", "logged"))
    fill(tmp_path, {"pictures": 2, "parent/inner": 0})
    for name in ("pictures", "parent"):
        make_folder(tmp_path / name)
        assert not (tmp_path / name / OUTPUT_MARK).exists(), "it holds what is not ours"


@pytest.mark.parametrize("layout", ["classes", "splits"])
def test_outputs_inside_the_data_become_no_classes(tmp_path: Path, layout: str) -> None:
    folders = {"crane": 2, "heron": 2}
    root = fill(
        tmp_path, folders if layout == "classes" else {f"train/{name}": 2 for name in folders} | {"test/crane": 1}
    )
    make_folder(root / "why")
    fill(root / "why", {".": 3})
    with locked(root / "run"):
        fill(root / "run" / "guide", {"pictures": 3})
    dataset = load(root)
    assert dataset.classes == ("crane", "heron")
    assert {(item.path.name, item.reason) for item in dataset.skipped} == {
        ("why", "written by Wingbar"),
        ("run", "written by Wingbar"),
    }


@pytest.mark.parametrize("parts", [("",), ("train", "test")])
def test_a_tree_is_read_by_its_innermost_folders(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        fill(tmp_path / part, {"Larus/argentatus": 2, "Larus/fuscus": 2, "Sterna/hirundo": 2, "Sterna/empty": 0})
    dataset = load(tmp_path)
    assert dataset.classes == ("argentatus", "fuscus", "hirundo")
    assert dataset.taxonomy is not None and dataset.taxonomy.levels == ("group",)
    assert dataset.taxonomy.groups == {"argentatus": ("Larus",), "fuscus": ("Larus",), "hirundo": ("Sterna",)}
    assert "the 3 innermost folders, in 'Larus', 'Sterna'" in dataset.describe()
    assert {item.path.name for item in dataset.skipped} == {"empty"}
    assert len(dataset.split("train")) == 6 and len(dataset.split("test")) == (6 if len(parts) > 1 else 0)


TREES = {
    "half": (
        {"crane": 2, "heron": 2, "crane/juvenile": 2},
        "several depths: pictures lie in 'crane' and in 'crane/juv",
    ),
    "images": ({"crane/images": 2, "heron/images": 2}, "folders of one name.*Move the pictures of each 'images' one"),
    "twice": ({"2019/crane": 2, "2020/crane": 2, "2020/heron": 2}, "have one name, '2019/crane' and '2020/crane'"),
    "Kaggle": (
        {"training_set/a": 2, "training_set/b": 2, "test_set/a": 2},
        "Rename 'test_set' to 'test' and 'training_set' to 'train'",
    ),
    "capitals": ({"Training/a": 2, "Training/b": 2, "Testing/a": 2}, "Rename 'Testing' to 'test' and 'Training' to"),
    "test only": ({"train/a": 2, "train/b": 2, "seg_test/a": 2}, "Rename 'seg_test' to 'test'"),
    "pictures alone": ({".": 3}, "a table with the columns path,label"),
    "one name": ({NFC: 2, NFD: 2}, r"written in two ways: 'Zwergsa\\u0308ger' and 'Zwergs\\xe4ger'"),
}


@pytest.mark.parametrize("tree", TREES)
def test_a_tree_that_would_be_half_read_is_refused(tmp_path: Path, tree: str) -> None:
    folders, message = TREES[tree]
    with pytest.raises(DataError, match=message):
        load(fill(tmp_path, folders))


def test_too_deep_a_tree_ends(tmp_path: Path) -> None:
    fill(tmp_path, {"/".join("ab" * 25): 1, "c": 2})
    with pytest.raises(DataError, match="more than 40 folders within each other"):
        load(tmp_path)


def test_accents_may_be_written_either_way(tmp_path: Path) -> None:
    mixed = fill(tmp_path / "mixed", {f"train/{NFD}": 2, "train/crane": 2, f"test/{NFC}": 1})
    plain = fill(tmp_path / "plain", {f"train/{NFC}": 2, "train/crane": 2, f"test/{NFC}": 1})
    first, second = load(mixed), load(plain)
    assert first.classes == second.classes == (NFC, "crane")
    assert [sample.key for sample in first.samples] == [sample.key for sample in second.samples]
    assert first.fingerprint() == second.fingerprint()
    assert Finder(mixed).path(f"train/{NFC}/0.jpg").is_file()
    assert Finder(mixed).path(f"train/{NFC}/9.jpg").parent.is_dir()
    assert Finder(mixed).path("B\u00fcste/9.jpg") == mixed / "B\u00fcste/9.jpg"


def test_classes_that_look_alike_are_told(tmp_path: Path) -> None:
    dataset = load(fill(tmp_path, {"crane": 2, "crane ": 2, "heron": 2}))
    assert len(dataset.classes) == 3 and "CLASSES LOOK ALIKE: 'crane' and 'crane '" in dataset.describe()


def test_an_empty_path_is_not_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fill(tmp_path, {"owl": 2, "wren": 2}))
    with pytest.raises(DataError, match="the path of the data set is empty"):
        load("")
    assert load(".").classes == ("owl", "wren")


def test_names_that_python_reads_in_another_encoding_are_no_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a script under the locale de_DE.ISO-8859-1; the command line starts itself anew in UTF-8 mode."""
    fill(tmp_path / "latin", {"owl": 2, "wren": 2})
    fill(tmp_path / "any", {"owl": 2, NFC: 2})
    (tmp_path / "any" / "table.csv").write_text(f"path,label\nowl/0.jpg,owl\n{NFC}/0.jpg,{NFC}\n", encoding="utf-8")
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "iso8859-1")
    assert load(tmp_path / "latin").classes == ("owl", "wren")
    for place in (tmp_path / "any", tmp_path / "any" / "table.csv"):
        with pytest.raises(DataError, match=r"Start it in UTF-8 mode: python -X utf8, .* PYTHONUTF8=1\.$"):
            load(place)
    with pytest.raises(DataError, match="for iso8859-1, and Wingbar's are UTF-8"):
        list(listed(tmp_path / "any"))
