"""Tables as spreadsheets and labelling programs write them, for training and for predicting alike."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from wingbar.data import load
from wingbar.data.listing import listed
from wingbar.errors import DataError

NAMES = tuple(f"images/{name}/{number}.png" for name in ("wren", "tern") for number in range(2))
ROWS = tuple((name, name.split("/")[1]) for name in NAMES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return draw(tmp_path / "set")


def draw(root: Path) -> Path:
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 3)).save(root / name)
    (root / "tables").mkdir()
    return root


def text(separator: str = ",", path: str = "{}", end: str = "\n") -> str:
    rows = [("path", "label"), *((path.format(name), label) for name, label in ROWS)]
    return "".join(separator.join(row) + end for row in rows)


def table(root: Path, content: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    file = root / name
    file.write_bytes(content.encode(encoding))
    return file


WRITINGS = {
    "semicolons": (text(";"), "utf-8"),
    "tabs": (text("\t"), "utf-8"),
    "bars": (text("|"), "utf-8"),
    "quoted semicolons": (text(";").replace("path;label", '"path";"label"'), "utf-8"),
    "Excel's first line": ("sep=;\r\n" + text(";", end="\r\n"), "utf-8"),
    "byte order mark": (text(), "utf-8-sig"),
    "UTF-16": (text("\t", end="\r\n"), "utf-16"),
    "blank rows": (text(end="\r\n") + ",\r\n,\r\n\r\n", "utf-8"),
    "fields too many, empty": (text().replace("wren\n", "wren,,\n"), "utf-8"),
    "blanks before quotes": (text(", ").replace("wren\n", '"wren"\n'), "utf-8"),
    "backslashes": (text().replace("/", "\\"), "utf-8"),
    "dots": (text(path="./images/../{}"), "utf-8"),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_a_table_is_read_in_any_writing(root: Path, writing: str) -> None:
    file = table(root, *WRITINGS[writing][:1], encoding=WRITINGS[writing][1])
    dataset = load(file)
    assert [(sample.key, dataset.classes[sample.label]) for sample in dataset.samples] == list(ROWS)
    assert [(item.name, item.source) for item in listed(file)] == [(name, root / name) for name in NAMES]


def test_tsv_tables_and_absolute_paths_inside_the_folder(root: Path) -> None:
    file = table(root, text("\t", path=f"{root}/{{}}"), "t.tsv")
    assert [sample.key for sample in load(file).samples] == [item.name for item in listed(file)] == list(NAMES)


@pytest.mark.parametrize(
    ("path", "start"),
    [("../{}", "."), ("../{}", "images"), ("{}", "."), ("{root}/{{}}", "."), ("{root}/{{}}", "images")],
)
def test_paths_start_at_the_root_that_the_user_names(root: Path, path: str, start: str) -> None:
    file = table(root / "tables", text(path=path.format(root=root) if "root" in path else path))
    dataset = load(file, root / start)
    assert [sample.path for sample in dataset.samples] == [root / name for name in NAMES]
    assert [item.source for item in listed(file, root / start)] == [root / name for name in NAMES]
    assert dataset.root == dataset.images_root == root / start
    assert [sample.path for sample in load(dataset.source, dataset.images_root).samples] == [root / n for n in NAMES]


def test_a_table_that_leaves_the_extension_out_is_told_the_name_with_it(root: Path) -> None:
    with pytest.raises(DataError, match=r"no such file, but '0\.png' is there: write its extension too"):
        load(table(root, text().replace(".png", "")))


REFUSED = {
    "upwards": ("../{}", "tables", "none of its 4 paths can be read.*--images-root {root}/images "),
    "absolute": ("{root}/{{}}", "tables", "'{root}/images/wren/0.png' is not inside .*--images-root {root}/images "),
    "Windows": ("C:\\Users\\me\\{}", ".", r"Take the beginning 'C:\\Users\\me\\' off all paths"),
    "labelling program": ("/data/?d=./{}", ".", "Take the beginning '/data/[?]d=./' off all paths"),
    "elsewhere": ("/no/such/place/x{}", ".", "Write all paths so that they start at that folder, or name another"),
    "web": ("https://example.org/{}", ".", "is a web address, .*Download the pictures"),
    "share": ("\\\\server\\share\\{}", ".", r"Take the beginning '\\\\server\\share\\' off all paths"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_paths_that_lead_elsewhere_are_refused_with_one_remedy(root: Path, kind: str) -> None:
    path, folder, message = REFUSED[kind]
    file = table(root / folder, text(path=path.format(root=root) if "root" in path else path))
    for read in (load, lambda file: list(listed(file))):
        with pytest.raises(DataError, match=message.format(root=root) if "{root}" in message else message):
            read(file)


@pytest.mark.parametrize("path", ["../../x.png", "/etc/x.png", "images/../../x.png", "..\\..\\x.png"])
def test_one_path_that_leads_elsewhere_is_a_line_to_correct(root: Path, path: str) -> None:
    file = table(root, text() + f"{path},wren\n")
    for read in (load, lambda file: list(listed(file))):
        with pytest.raises(DataError, match=r"line 6: .*x\.png' is not inside .* Correct or remove that line"):
            read(file)


def test_a_table_behind_a_link_counts_from_the_links_folder(root: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (root / "t.csv").symlink_to(table(tmp_path / "store", text(), "abc.csv"))
    dataset = load(root / "t.csv")
    assert [sample.path for sample in dataset.samples] == [root / name for name in NAMES]
    assert load(dataset.source).samples == dataset.samples


def test_a_root_is_for_tables_and_has_to_be_there(root: Path) -> None:
    with pytest.raises(DataError, match="is no table"):
        load(root, root)
    with pytest.raises(DataError, match="cannot open the images root"):
        load(table(root, text()), root / "gone")


def test_accents_in_tables_may_be_written_either_way(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "S\u00e4ger") for form in ("NFC", "NFD"))
    (tmp_path / apart).mkdir()
    for number in range(4):
        Image.new("L", (3, 3)).save(tmp_path / apart / f"{number}.png")
    rows = [f"{composed}/{number}.png,{composed if number % 2 else apart}" for number in range(2)]
    rows += [f"{apart}/{number}.png,tern" for number in (2, 3)]
    dataset = load(table(tmp_path, "\n".join(("path,label", *rows))))
    assert dataset.classes == (composed, "tern") and len(dataset.samples) == 4
    assert [sample.key for sample in dataset.samples] == [f"{composed}/{number}.png" for number in range(4)]


def test_names_may_differ_by_case_where_one_file_alone_is_meant(root: Path) -> None:
    file = table(root, text(path="{}").replace(".png", ".PNG"))
    assert [sample.path for sample in load(file).samples] == [root / name for name in NAMES]
    for ending in ("Png", "pNG"):
        (root / NAMES[0]).with_suffix(f".{ending}").write_bytes((root / NAMES[0]).read_bytes())
    (skipped,) = load(file, to_learn=False).skipped
    assert (skipped.path, skipped.reason) == ((root / NAMES[0]).with_suffix(".PNG"), "no such file")
