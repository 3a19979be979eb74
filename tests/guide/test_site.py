"""The whole guide of a tiny run whose class and file names are as hostile as names can be."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from html_check import check_site
from PIL import Image

import wingbar
from wingbar._system.files import read_record
from wingbar._system.text import display_names
from wingbar.config import Config
from wingbar.data import load as load_data
from wingbar.errors import ConfigError, DataError, RunError
from wingbar.evaluation.evaluate import evaluate
from wingbar.guide import pages as pages_module
from wingbar.guide import thumbnails, write_guide
from wingbar.opam.filtering import FilterSettings
from wingbar.recognizer import Recognizer

CLASSES = sorted([
    "<script>alert(1)</script>", "../../x", "\"double\" & 'single'", "two\nlines \x1b[31m", "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}", ("very long " * 40).strip(), "鳥 \u202egnorw Ü</title><img src=x onerror=alert(1)>",
])  # fmt: skip
"""In the order that a table's classes have."""
FILES = ['a" onerror="alert(1)', "<b>x</b>", "ordinary", "javascript:alert(1)"]
SMALL = Config(
    method="opam", net="res2net_nano", weights="none", size=32, epochs=1, follow_epochs=1, batch_size=8, workers=0,
    filtering=FilterSettings(threshold=0.1, cap=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight classes of three training pictures and one test picture, listed in a CSV."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    with (folder / "set.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split"])
        for label, name in enumerate(CLASSES):
            for number, stem in enumerate(FILES):
                path = f"{label} {stem.replace('/', '')}.png"
                pixels = rng.integers(0, 255, (5, 7, 3), np.uint8)
                Image.fromarray(pixels).resize((70, 50), Image.Resampling.BICUBIC).save(folder / path)
                table.writerow([path, name, "test" if number == 3 else "train"])
    return folder / "set.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """A trained and judged run."""
    folder = tmp_path_factory.mktemp("guide") / "run"
    wingbar.train(dataset, folder, SMALL, quiet=True)
    evaluate(folder)
    return folder


@pytest.fixture(scope="module")
def site(run: Path) -> Path:
    """Its guide's folder."""
    index = write_guide(run, quiet=True)
    assert index == run / "guide" / "index.html"
    return index.parent


@pytest.fixture
def copy(tmp_path: Path, run: Path, site: Path) -> Path:
    """A run with its guide, to change."""
    return Path(shutil.copytree(run, tmp_path / "run"))


def recorded(monkeypatch: pytest.MonkeyPatch, fail_at: int = 0) -> list[int]:
    """How many pictures each call predicts; the ``fail_at``-th call fails."""
    calls: list[int] = []
    real: Callable = Recognizer.predict_many

    def predict_many(self, pictures, batch_size=16):
        pictures = list(pictures)
        calls.append(len(pictures))
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        return real(self, pictures, batch_size)

    monkeypatch.setattr(Recognizer, "predict_many", predict_many)
    return calls


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_page_is_well_formed_and_every_link_leads_to_a_file(site: Path) -> None:
    pages = check_site(site)
    assert {name for name in pages if name.startswith("classes/")} == {f"classes/{k:04d}.html" for k in range(1, 9)}
    assert {"index.html", "map.html", "card.html"} <= set(pages)
    names = "|".join([r"(index|map|card)\.html", r"style\.css", r"guide\.js", r"classes/\d{4}\.html",
                      r"pairs/\d{4}-\d{4}\.html", r"pictures/[0-9a-f]{20}\.jpg"])  # fmt: skip
    assert all(re.fullmatch(names, name) for name in contents(site))


def test_hostile_names_are_text_and_nothing_else(site: Path) -> None:
    pages = check_site(site)  # no tag, attribute or link that the templates do not write themselves
    shown = display_names(CLASSES)
    for label, name in enumerate(shown):
        assert pages[f"classes/{label + 1:04d}.html"].text("h1") == " ".join(name.split())
        assert " ".join(name.split()) in pages["index.html"].text("ul")
    assert "{{ 7 * 7 }}" in pages["index.html"].text("bdi")
    every = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.html"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202a-\u202e]", every)


def test_pages_are_reached_from_the_index(site: Path) -> None:
    pages = check_site(site)
    seen, ahead = set(), ["index.html"]
    while ahead:
        name = ahead.pop()
        if name in seen or name not in pages:
            continue
        seen.add(name)
        links = [link.partition("#")[0] for link in pages[name].links]
        ahead += [
            (site / name).parent.joinpath(link).resolve().relative_to(site.resolve()).as_posix()
            for link in links
            if link
        ]
    assert seen == set(pages)


def test_what_went_wrong_is_what_the_evaluation_says(run: Path, site: Path) -> None:
    record = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    pages = check_site(site)
    shown = display_names(CLASSES)
    assert sum(one["label"] != one["predicted"] for one in record["pictures"]) > 0
    for one in record["pictures"]:
        text = pages[f"classes/{CLASSES.index(one['label']) + 1:04d}.html"].text("section")
        wrong = one["label"] != one["predicted"]
        assert ("Test pictures that went wrong" in text) == wrong
        if wrong:
            called = " ".join(shown[CLASSES.index(one["predicted"])].split())
            assert f"called {called}, {100 * one['score']:.0f} %" in text
    result = record["classification"]["per_class"][0]
    assert f"{100 * result['recall']:.0f} % of its {result['count']} test pictures" in pages["classes/0001.html"].text(
        "p"
    )


def test_the_second_guide_predicts_nothing_and_is_the_same(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(copy / "guide")
    calls = recorded(monkeypatch)
    write_guide(copy, quiet=True)
    assert calls == [] and contents(copy / "guide") == before


def test_a_crash_loses_one_class_and_keeps_the_old_guide(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(copy / "guide-cache")
    before = contents(copy / "guide")
    with monkeypatch.context() as patch:
        recorded(patch, fail_at=4)
        with pytest.raises(KeyboardInterrupt):
            write_guide(copy, quiet=True)
    assert contents(copy / "guide") == before
    calls = recorded(monkeypatch)
    write_guide(copy, quiet=True)
    assert len(calls) == 5 and contents(copy / "guide") == before


def test_pictures_looked_at_and_shown_are_bounded(copy: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    calls = recorded(monkeypatch)
    for name in ("EXAMPLES", "CROPS", "MISTAKES", "COMPARED"):
        monkeypatch.setattr(pages_module, name, 1)
    write_guide(copy, per_class=2)
    assert calls == [2] * len(CLASSES)
    assert re.search(r"predicting 16 of 24 training pictures", capsys.readouterr().err)
    pages = check_site(copy / "guide")
    assert len([link for link in pages["classes/0001.html"].links if link.endswith(".jpg")]) <= 1 + 3 + 1
    with pytest.raises(ConfigError, match="per_class"):
        write_guide(copy, per_class=0)


def test_without_an_evaluation_it_says_so_and_opens_no_test_picture(
    copy: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "evaluation.json").unlink()
    shutil.rmtree(copy / "guide")
    opened: list[Path] = []
    real = thumbnails.read_picture
    monkeypatch.setattr(thumbnails, "read_picture", lambda path, **kw: opened.append(path) or real(path, **kw))
    write_guide(copy, quiet=True)
    pages = check_site(copy / "guide")
    assert "has not been evaluated" in pages["index.html"].text("p") and "Not known" in pages["card.html"].text("p")
    assert "Not evaluated" in pages["classes/0001.html"].text("p")
    assert opened and set(opened) <= {sample.path for sample in load_data(dataset).split("train")}
    assert {name for name in pages if name.startswith("pairs/")}  # classes that look alike to the model


def test_an_evaluation_that_kept_no_pictures_is_understood(copy: Path) -> None:
    path = copy / "evaluation.json"
    record = read_record(path)
    del record["pictures"], record["source"]
    path.write_text(json.dumps(record), encoding="utf-8")
    write_guide(copy, quiet=True)
    pages = check_site(copy / "guide")
    assert "kept no pictures" in pages["classes/0001.html"].text("p") and "evaluated" not in pages["index.html"].text(
        "p"
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"classification": {"per_class": [{"name": "wren"}]}}'])
def test_a_damaged_evaluation_is_named(copy: Path, text: str) -> None:
    (copy / "evaluation.json").write_text(text)
    with pytest.raises(RunError, match=r"evaluation\.json.*evaluate"):
        write_guide(copy, quiet=True)


def test_test_pictures_that_have_gone_are_said_to_be_gone(copy: Path) -> None:
    path = copy / "evaluation.json"
    record = read_record(path)
    for number, one in enumerate(record["pictures"]):
        one["key"] = f"../../../../etc/passwd{number}"
    path.write_text(json.dumps(record), encoding="utf-8")
    write_guide(copy, quiet=True)
    pages = check_site(copy / "guide")
    assert any("picture not found" in page.text("span") for page in pages.values())
    record["source"] = "/nowhere"
    path.write_text(json.dumps(record), encoding="utf-8")
    write_guide(copy, quiet=True)
    pages = check_site(copy / "guide")
    assert any("picture not found" in page.text("span") for page in pages.values())


def test_pages_of_an_older_guide_go(copy: Path) -> None:
    old = [
        copy / "guide" / name for name in ("classes/0099.html", "pairs/0001-0099.html", "pictures/" + "0" * 20 + ".jpg")
    ]
    for path in old:
        path.write_text("old")
    write_guide(copy, quiet=True)
    assert not any(path.exists() for path in old)


def test_a_plain_run_has_objects_but_no_parts(tmp_path: Path, dataset: Path) -> None:
    wingbar.train(dataset, tmp_path / "plain", SMALL, quiet=True, method="plain")
    write_guide(tmp_path / "plain", quiet=True)
    pages = check_site(tmp_path / "plain" / "guide")
    headings = pages["classes/0001.html"].text("h3")
    assert headings.startswith("Object") and "Part" not in headings
    assert "one net on whole pictures" in pages["card.html"].text("td")


def test_a_class_without_a_readable_picture_has_a_page(
    copy: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Recognizer.predict_many

    def predict_many(self, pictures, batch_size=16):
        pictures = list(pictures)
        for path, prediction in zip(pictures, real(self, pictures, batch_size), strict=True):
            yield wingbar.Prediction(str(path), error="damaged") if path.name.startswith("3 ") else prediction

    monkeypatch.setattr(Recognizer, "predict_many", predict_many)
    shutil.rmtree(copy / "guide-cache")
    write_guide(copy, quiet=True)
    pages = check_site(copy / "guide")
    assert "No training picture could be read" in pages["classes/0004.html"].text("p")


def test_a_data_set_that_has_gone_or_is_another_is_told(copy: Path, birds: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        write_guide(copy, "nowhere")
    with pytest.raises(DataError, match="classes are not the model's"):
        write_guide(copy, birds)


def test_a_guide_elsewhere_is_the_same_and_leaves_the_run_alone(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "guide-cache")
    (copy / "guide-cache").write_text("a run that cannot be written to")
    before = contents(copy)
    index = write_guide(copy, out=tmp_path / "out", quiet=True)
    assert index == tmp_path / "out" / "index.html" and contents(copy) == before
    pages = set(contents(copy / "guide"))
    assert pages <= set(contents(tmp_path / "out"))
    assert index.read_bytes() == (copy / "guide" / "index.html").read_bytes()
    with pytest.raises(RunError, match="--out"):
        write_guide(copy, quiet=True)


def test_nothing_is_written_into_a_model_folder(copy: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(copy / "model", tmp_path / "model"))
    before = contents(model)
    with pytest.raises(RunError, match=r"name a folder for the guide with --out"):
        write_guide(model, quiet=True)
    index = write_guide(model, out=tmp_path / "guide", quiet=True)
    assert contents(model) == before and "has not been evaluated" in check_site(index.parent)["index.html"].text("p")


def test_the_map_and_the_card_speak_of_this_run(run: Path, site: Path) -> None:
    pages = check_site(site)
    assert len([link for link in pages["map.html"].links if link.startswith("classes/")]) == len(CLASSES)
    card = " ".join(pages["card.html"].text("td").split())
    assert "set" in card and "res2net_nano" in card and "none needed" in card and "OPAM" in card
    assert "must not be used for" in pages["card.html"].text("h2") and "What a score means" in pages["card.html"].text(
        "h2"
    )
    assert "the surest first" in pages["card.html"].text("figcaption") and "ECE" in pages["card.html"].text("th")
    assert str(run) not in "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.html"))


def test_a_table_s_paths_start_at_the_folder_that_the_user_names(run: Path, dataset: Path, tmp_path: Path) -> None:
    moved = tmp_path / dataset.name
    shutil.copy(dataset, moved)
    with pytest.raises(DataError, match="no picture found"):
        write_guide(run, moved, out=tmp_path / "guide", quiet=True)
    assert write_guide(
        run, moved, images_root=dataset.parent, out=tmp_path / "guide", per_class=1, quiet=True
    ).is_file()
