"""A data set with known faults: each is found, and nothing else."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wingbar.check.audit import Fault, Finding, audit, classes, doubts, is_grey, leaks, light_of
from wingbar.check.sheet import rows, write
from wingbar.data import load
from wingbar.data.synthetic import draw_bird


def draw(path: Path, seed: int, label: int = 0) -> Image.Image:
    picture = Image.fromarray(draw_bird(label, seed).pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return picture


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes, ten training and two test pictures each, no faults."""
    root = tmp_path_factory.mktemp("drawn")
    for label, name in enumerate(("wren", "robin")):
        for number in range(10):
            draw(root / "train" / name / f"{number}.png", 100 * label + number, label)
        for number in range(2):
            draw(root / "test" / name / f"t{number}.png", 100 * label + 50 + number, label)
    return root


@pytest.fixture
def photos(drawn: Path, tmp_path: Path) -> Path:
    """A copy of them to spoil."""
    return Path(shutil.copytree(drawn, tmp_path / "photos"))


def findings_of(root: Path) -> dict[str, list[set[str]]]:
    """Finding -> the pictures of each item, or its facts where it has none; only what was found."""
    return {
        one.key: [{s.key for s in item.pictures} or set(map(str, item.facts.values())) for item in one.items]
        for one in audit(load(root))
        if one.items
    }


def test_a_sound_data_set_has_no_findings(photos: Path) -> None:
    assert findings_of(photos) == {} and not leaks(audit(load(photos)))


def test_a_copy_in_the_test_split_leaks(photos: Path) -> None:
    shutil.copy(photos / "train/wren/3.png", photos / "test/wren/copy.png")
    assert findings_of(photos) == {"leakage": [{"train/wren/3.png", "test/wren/copy.png"}]}
    assert leaks(audit(load(photos)))


def test_a_changed_copy_in_the_test_split_leaks_too(photos: Path) -> None:
    with Image.open(photos / "train/wren/3.png") as picture:
        picture.resize((120, 90)).save(photos / "test/wren/copy.jpg", quality=60)
    assert findings_of(photos) == {"leakage": [{"train/wren/3.png", "test/wren/copy.jpg"}]}


def test_copies_across_classes_and_within_one_are_told_apart(photos: Path) -> None:
    shutil.copy(photos / "train/wren/3.png", photos / "train/robin/copy.png")
    shutil.copy(photos / "train/robin/4.png", photos / "train/robin/again.png")
    assert findings_of(photos) == {
        "conflicts": [{"train/wren/3.png", "train/robin/copy.png"}],
        "duplicates": [{"train/robin/4.png", "train/robin/again.png"}],
    }
    assert not leaks(audit(load(photos)))


def test_damaged_and_strange_files_are_listed(photos: Path) -> None:
    path = photos / "train/wren/3.png"
    path.write_bytes(path.read_bytes()[:-2000])
    (photos / "train/wren/empty.jpg").write_bytes(b"")
    (photos / "train/wren/notes.txt").write_text("x")
    report = findings_of(photos)
    assert report["unreadable"] == [{"train/wren/3.png"}]
    assert [sorted(item)[-1] for item in report["skipped"]] == ["train/wren/empty.jpg", "train/wren/notes.txt"]


def test_tiny_grey_and_turned_pictures(photos: Path) -> None:
    draw(photos / "train/wren/tiny.png", 901).resize((80, 60)).save(photos / "train/wren/tiny.png")
    draw(photos / "train/wren/grey.png", 902).convert("L").save(photos / "train/wren/grey.jpg", quality=80)
    (photos / "train/wren/grey.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(photos / "train/wren/turned.png", 903).save(photos / "train/wren/turned.jpg", exif=exif)
    (photos / "train/wren/turned.png").unlink()
    assert findings_of(photos) == {
        "tiny": [{"train/wren/tiny.png"}],
        "grey": [{"train/wren/grey.jpg"}],
        "turned": [{"train/wren/turned.jpg"}],
    }


def test_dark_blank_and_faint_pictures(photos: Path) -> None:
    pixels = draw_bird(0, 990).pixels
    pictures = {
        "dark": np.round(pixels / 6), "blank": np.full_like(pixels, 255), "black": np.zeros_like(pixels),
        "faint": 120 + np.round(pixels / 10), "noisy": 90 + np.random.default_rng(0).integers(0, 4, pixels.shape),
    }  # fmt: skip
    for name, spoilt in pictures.items():
        Image.fromarray(spoilt.astype(np.uint8)).save(photos / f"train/wren/{name}.png")
    findings = findings_of(photos)
    assert findings["dark"] == [{"train/wren/dark.png"}]
    assert findings["faint"] == [{"train/wren/faint.png"}]
    assert findings["blank"] == [{f"train/wren/{name}.png"} for name in ("black", "blank", "noisy")]


@pytest.mark.parametrize("colour", [(0, 0, 255), (200, 0, 0)])
def test_a_pure_colour_beside_another_is_neither_dark_nor_blank(colour: tuple[int, int, int]) -> None:
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[:, :64], pixels[:, 64:] = colour, (0, 200, 0)
    light = light_of(pixels)
    assert not light.dark and not light.faint and not light.blank


def test_class_names_that_look_alike_are_shown_spelt_out(photos: Path) -> None:
    for name in ("Crane", "crane ", "Zwergs\u00e4ger", "Zwergsager", "001.Black_tern", "Black tern", "Tern", "鳥"):
        for number in range(2):
            draw(photos / "train" / name / f"{number}.png", 300 + number, 0)
    finding = next(one for one in audit(load(photos)) if one.key == "names")
    assert [(item.facts["classes"], item.facts["alike but for"].split()[0]) for item in finding.items] == [
        ("'Crane', 'crane '", "case,"),
        ("'001.Black_tern', 'Black tern'", "accents,"),
        ("'Zwergsager', 'Zwergs\\xe4ger'", "accents,"),
    ]
    assert rows([finding])[0][2].startswith("classes 'Crane', 'crane '")
    page = write(photos.parent / "out", load(photos), [finding]).read_text(encoding="utf-8")
    assert "&#39;crane &#39;" in page and "pictures in each" in page


def test_every_finding_without_pictures_has_its_facts_on_the_sheet(photos: Path, tmp_path: Path) -> None:
    for number in range(120):
        shutil.copy(photos / "train/wren/0.png", photos / f"train/wren/more{number}.png")
    dataset = load(photos)
    page = write(tmp_path / "out", dataset, classes(dataset)).read_text(encoding="utf-8")
    assert "largest: <bdi>wren</bdi>; training pictures: <bdi>130</bdi>; smallest: <bdi>robin</bdi>" in page


def test_a_little_colour_is_not_grey() -> None:
    pixels = np.full((50, 50, 3), 120, np.uint8)
    assert is_grey(pixels)
    pixels[:10, :10] = (200, 30, 30)
    assert not is_grey(pixels)


def test_small_and_uneven_classes(photos: Path) -> None:
    for number in range(11):
        draw(photos / "train" / "wren" / f"more{number}.png", 700 + number)
    for number in range(2, 10):
        (photos / "train" / "robin" / f"{number}.png").unlink()
    report = findings_of(photos)
    assert report["small"] == [{"robin", "2"}] and report["uneven"] == [{"wren", "21", "robin", "2"}]


def test_doubts_name_the_likelier_class(photos: Path) -> None:
    dataset = load(photos)
    samples = dataset.split("test")
    right = np.eye(2)[[s.label for s in samples]] * 0.8 + 0.1
    right[0] = right[0, ::-1]
    finding = doubts("labels", "In doubt", dataset, samples, right, "Judged: 4.")
    assert [item.pictures for item in finding.items] == [(samples[0],)]
    assert finding.items[0].facts == {"rather": "wren", "at": 0.9, "its label at": 0.1}
    assert finding.advice.endswith("Judged: 4.")


class Tags(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_sheet_shows_hostile_names_as_text(photos: Path, tmp_path: Path) -> None:
    name = '"><img src=x onerror=alert(1)>{{ 7*7 }}'
    for split in ("train", "test"):
        (photos / split / "wren").rename(photos / split / name)
    shutil.copy(photos / "train" / name / "3.png", photos / "test" / name / "<script>\u202e.png")
    (photos / "train" / name / "a\nb\udcff.txt").write_text("x")
    dataset = load(photos)
    findings = audit(dataset)
    page = Tags(write(tmp_path / "out", dataset, findings).read_text(encoding="utf-8"))
    pictures = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert pictures == ["thumbnails/00001.jpg", "thumbnails/00002.jpg"]
    assert all((tmp_path / "out" / str(picture)).is_file() for picture in pictures)
    assert not any(tag == "script" or any(key.startswith("on") for key in attributes) for tag, attributes in page.tags)
    assert name in page.text and "<script>\\u202e.png" in page.text and "a\\nb\\udcff.txt" in page.text
    assert "\n" not in str(rows(findings)[0])
    report = json.loads((tmp_path / "out" / "data-check.json").read_text(encoding="utf-8"))
    assert report["classes"][name] == {"train": 10, "test": 3}
    assert [p["split"] for p in report["findings"]["leakage"]["items"][0]["pictures"]] == ["train", "test"]


def test_many_findings_are_cut_in_the_sheet_and_whole_in_the_file(photos: Path, tmp_path: Path) -> None:
    dataset = load(photos)
    samples = [dataset.samples[i % len(dataset.samples)] for i in range(70)]
    many = Finding("grey", "Without colours", "", tuple(Fault((sample,)) for sample in samples))
    copies = Finding("duplicates", "Twice", "", (Fault(dataset.samples[:20]),))
    page = write(tmp_path / "out", dataset, [many, copies]).read_text(encoding="utf-8")
    assert "The first 60 are shown" in page and "and 8 more" in page and page.count("<img") == 60 + 12
    report = json.loads((tmp_path / "out" / "data-check.json").read_text(encoding="utf-8"))["findings"]
    assert len(report["grey"]["items"]) == 70 and len(report["duplicates"]["items"][0]["pictures"]) == 20
