"""More than a thousand bad and odd pictures, read or refused by name, in time, in bounded memory.

The reader gets all of them. The doors, which call the reader, get an eleventh of those that are damaged at random
places, and all others. `make torture-inputs` tries ten times as many, all of them at every door. Oracle: how each was
made (`hostile_pictures`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bounds import TIMES, in_a_child, in_time
from hostile_pictures import NAMES, Hostile, encoded, hostile_pictures, noise, write_names, write_pictures
from made_up import made_up
from PIL import Image
from safetensors.numpy import load_file
from starlette.testclient import TestClient

from wingbar._system.files import read_record
from wingbar.cli import main
from wingbar.config import Config, to_toml
from wingbar.data import load
from wingbar.errors import PictureError
from wingbar.images import READ_SIDE, picture_size, read_picture
from wingbar.opam.filtering import FilterSettings
from wingbar.opam.localization import LocalizationSettings
from wingbar.opam.proposals import ProposalSettings
from wingbar.serve.app import create_app
from wingbar.serve.examples import ExamplePictures
from wingbar.serve.server import build_site

PEAK, TRAINING_PEAK = 1200, 1800
"""MiB of a process that predicts all of them, and of one that learns from them."""


@pytest.fixture(scope="module")
def every() -> list[Hostile]:
    made = list(hostile_pictures(TIMES))
    assert len(made) > 1000 and len({one.name for one in made}) == len(made)
    return made


@pytest.fixture(scope="module")
def pictures(every: list[Hostile]) -> list[Hostile]:
    """Those that the doors get. Eleven has no factor in common with the number of damages: each kind is among them."""
    at_random = ("cut-", "damaged-")
    return [one for number, one in enumerate(every)
            if TIMES > 1 or number % 11 == 0 or not one.name.startswith(at_random)]  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, pictures: list[Hostile]) -> Path:
    """All of them in the training folders of two classes, beside two sound ones each; odd names in the test split."""
    root = tmp_path_factory.mktemp("hostile") / "set"
    generator = np.random.default_rng(3)
    sound = [Hostile(f"sound-{number}.png", encoded(noise(generator), "PNG")) for number in range(4)]
    write_pictures(root / "train" / "odd", [*pictures[::2], *sound[:2]])
    write_pictures(root / "train" / "even", [*pictures[1::2], *sound[2:]])
    (root / "test" / "odd").mkdir(parents=True)
    write_names(root / "test" / "odd")
    return root


def agrees(verdict: str, refused: bool) -> bool:
    return verdict == "either" or refused == (verdict == "refused")


def test_each_is_read_whole_or_refused(every: list[Hostile]) -> None:
    for one in every:
        with in_time(one.name):
            try:
                size = picture_size(one.content)
                picture = read_picture(one.content, READ_SIDE)
            except PictureError as error:
                assert agrees(one.verdict, refused=True), (one.name, error)
                assert str(error).startswith("'<bytes>': ") and str(error).isprintable()
            else:
                assert agrees(one.verdict, refused=False), one.name
                assert picture.size == size and 0 < min(picture.pixels.shape[:2]) <= READ_SIDE, one.name


PREDICT = """
import json, signal, sys
from pathlib import Path
from made_up import made_up
folder, root = map(Path, sys.argv[1:])
files = sorted(path for path in root.rglob("*") if not path.is_dir())
recognizer = made_up(folder)
predictions = recognizer.predict_many(files)
for path in files:
    signal.alarm(120)  # kills the process
    told = next(predictions)
    assert told.path == str(path)
    print(json.dumps(told.to_dict(1)))
assert next(predictions, None) is None
"""


def test_each_is_predicted_or_named_and_memory_is_bounded(dataset: Path, tmp_path: Path, pictures) -> None:
    said, peak = in_a_child(PREDICT, tmp_path / "model", dataset)
    answers = {Path(one["path"]): one for one in map(json.loads, said.splitlines())}
    assert peak < PEAK
    for one in pictures:
        row = next(
            answers[path] for split in ("odd", "even") if (path := dataset / "train" / split / one.name) in answers
        )
        assert agrees(one.verdict, refused="error" in row), row
        assert repr(row["path"]) in row["error"] if "error" in row else row["label"] in ("wren", "robin", "owl")
    names = {path.name: one for path, one in answers.items() if path.parent.parent.name == "test"}
    assert {name for name, one in names.items() if "error" not in one} == set(NAMES)
    assert {name for name, one in names.items() if "error" in one} == {
        "loop.png", "round.png", "trip.png", "dangling.png", "zero.png", "pipe.png",
    }  # fmt: skip


TRAIN = """
import sys
from wingbar.cli import main
sys.stderr = sys.stdout
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert ended.code == 0
"""
LITTLE = Config(
    method="opam", net="res2net_nano", weights="none", size=32, epochs=1, follow_epochs=1, workers=0,
    proposals=ProposalSettings(side=64, limit=30), filtering=FilterSettings(threshold=0.2, cap=3),
    localization=LocalizationSettings(locating_size=64),
)  # fmt: skip


def test_a_model_learns_from_what_can_be_read_and_the_rest_is_named(dataset: Path, tmp_path: Path, pictures) -> None:
    """All of OPAM: candidates, maps and parts of pictures a pixel wide and 60,000 long, too."""
    settings, run = tmp_path / "little.toml", tmp_path / "run"
    settings.write_text(to_toml(LITTLE))
    said, peak = in_a_child(TRAIN, "train", dataset, "--out", run, "--config", settings)
    assert peak < TRAINING_PEAK
    assert "skipped" in said  # a few of each reason by name, the rest counted
    unreadable = read_record(run / "steps" / "data" / "result.json")["info"]["unreadable"]
    loaded = load(dataset)
    skipped = {str(one.path) for one in loaded.skipped}
    skipped |= {str(sample.path) for sample in loaded.samples if sample.key in unreadable}
    places = {one.name: dataset / "train" / ("odd", "even")[number % 2] for number, one in enumerate(pictures)}
    for one in pictures:
        assert agrees(one.verdict, refused=str(places[one.name] / one.name) in skipped), one.name
    learnt_from = len(load_file(run / "steps" / "data" / "result.safetensors")["sizes"])
    assert learnt_from == len(pictures) + 4 - len(skipped & {str(place / name) for name, place in places.items()})


def test_the_check_of_data_lists_every_one(dataset: Path, tmp_path: Path, pictures, capsys) -> None:
    with in_time("data check", TIMES), pytest.raises(SystemExit) as ended:
        main(["data", "check", str(dataset), "--out", str(tmp_path / "out")])
    assert ended.value.code == 0, capsys.readouterr().err
    text = (tmp_path / "out" / "data-check.json").read_text(encoding="utf-8")
    findings = json.loads(text)["findings"]
    loaded = load(dataset)
    assert len(loaded.samples) + len(loaded.skipped) == len(pictures) + 4 + len(NAMES) + 7
    unreadable = {item["pictures"][0]["path"].rpartition("/")[2] for item in findings["unreadable"]["items"]}
    skipped = {item["file"].rpartition("/")[2] for item in findings["skipped"]["items"]}
    for one in pictures:
        assert agrees(one.verdict, refused=one.name in unreadable | skipped), one.name
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and "\u202e" not in page + text


def test_the_web_page_names_each_or_refuses_it(tmp_path: Path, pictures: list[Hostile]) -> None:
    recognizer = made_up(tmp_path / "model")
    site = build_site(tmp_path, recognizer, ExamplePictures([()] * len(recognizer.classes)))
    octets = {"content-type": "application/octet-stream"}
    statuses: Counter[int] = Counter()
    with TestClient(create_app(site)) as client:  # raises whatever the application raises
        for one in pictures:
            with in_time(one.name):
                answer = client.post("/api/predict", content=one.content, headers=octets)
            assert answer.status_code in (200, 400, 413), (one.name, answer.text)
            assert agrees(one.verdict, refused=answer.status_code != 200), (one.name, answer.text)
            statuses[answer.status_code] += 1
            if answer.status_code != 200:
                assert answer.json()["error"].isprintable()
        assert client.get("/healthz").json() == {"status": "ok"}
    assert statuses[200] > 100 and statuses[400] > 50 and statuses[413] > 5
    assert site.batcher.taken == 0


THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from wingbar import images
images.MAX_PIXELS = int(sys.argv[2])
content = open(sys.argv[1], "rb").read()
with ThreadPoolExecutor(8) as pool:
    for picture in pool.map(lambda _: images.read_picture(content, 32), range(8)):
        assert picture.size == (2500, 2500)
"""


def test_large_pictures_wait_for_one_another(tmp_path: Path) -> None:
    """Eight threads with a transparent picture of 6 million pixels, 16 bytes each while it is decoded."""
    (tmp_path / "large.png").write_bytes(encoded(Image.new("RGBA", (2500, 2500), (9, 9, 9, 99)), "PNG"))
    one_heap = {"MALLOC_ARENA_MAX": "1"}  # else what glibc keeps for each thread is counted too
    _, apart = in_a_child(THREADS, tmp_path / "large.png", 7_000_000, **one_heap)
    _, together = in_a_child(THREADS, tmp_path / "large.png", 120_000_000, **one_heap)
    assert apart < 250 < 400 < together


@pytest.mark.parametrize("taken", range(6))
def test_what_the_source_raises_comes_after_all_that_was_taken_before(tmp_path: Path, taken: int) -> None:
    def source() -> Iterator[np.ndarray]:
        yield from [np.full((40, 40, 3), 99, np.uint8)] * taken
        raise KeyError("the caller's own")

    collected = 0
    with pytest.raises(KeyError, match="the caller's own"):
        for _ in made_up(tmp_path / "model").predict_many(source(), 2):
            collected += 1
    assert collected == taken
