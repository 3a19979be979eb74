"""A watched folder: each picture is answered once, whatever comes and goes, and whenever the watch is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up import card, made_up
from PIL import Image
from pyarrow import parquet

from wingbar._system.locks import locked
from wingbar.bulk import watch as watching
from wingbar.bulk.job import BulkJob
from wingbar.bulk.settings import BulkSettings
from wingbar.bulk.watch import Watch
from wingbar.cli.many import asked_to_stop
from wingbar.errors import ConfigError, DataError, RunError
from wingbar.images import Source
from wingbar.prediction import Prediction
from wingbar.recognizer import Recognizer


class Stub(Recognizer):
    """Answers by the file's bytes; one without any is unreadable."""

    def __init__(self) -> None:
        self.card, self.asked = card(("wren", "owl"), dict.fromkeys(("picture", "object", "parts"), "0" * 64)), []
        self.meanwhile: Callable[[Path], object] = lambda _: None

    def predict_many(
        self, pictures: Iterable[Source], batch_size: int = 16, *, views: str = "all", **place: object
    ) -> Iterator[Prediction]:
        for picture in pictures:
            path = Path(str(picture))
            self.asked.append(path.name)
            self.meanwhile(path)
            scores = {"wren": 0.75, "owl": 0.25}
            if path.exists() and path.stat().st_size:
                yield Prediction(str(path), (9, 8), scores, (0, 0, 9, 8), (), {"picture": scores})
            else:
                yield Prediction(str(path), error=f"'{path}': damaged")


class Looks:
    """Stands for waiting: before each look at the folder the next thing happens; at the end it asks to stop."""

    def __init__(self, *happenings: Callable[[], object]) -> None:
        self.happenings = list(happenings)

    def __call__(self, seconds: float) -> bool:
        if seconds == 0:
            return False
        if not self.happenings:
            return True
        self.happenings.pop(0)()
        return False


def nothing() -> None:
    """What happens between most looks."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def put(folder: Path, *names: str, content: bytes = b"picture") -> Callable[[], None]:
    def write() -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    return write


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(out.glob("*.jsonl")) for line in path.read_text().splitlines()]


def answered(out: Path) -> list[tuple[str, int]]:
    return [(row["path"], row["bytes"]) for row in rows(out)]


def test_what_comes_is_answered_once_and_files_are_filled(folder: Path, out: Path) -> None:
    put(folder, "b.jpg", "notes.txt", ".hidden.jpg", "deep/er/c.jpg")()
    looks = Looks(nothing, put(folder, "a.jpg", "d.jpg"), nothing, nothing, put(folder, "e.jpg"), nothing)
    seen = [one.path for one in Watch(Stub(), folder, out, BulkSettings(size=2)).run(looks)]
    assert seen == ["b.jpg", "deep/er/c.jpg", "a.jpg", "d.jpg", "e.jpg"]
    assert answered(out) == [(name, 7) for name in seen]
    assert [len(path.read_text().splitlines()) for path in sorted(out.glob("*.jsonl"))] == [2, 2, 1]
    again = Stub()
    assert list(Watch(again, folder, out, BulkSettings(size=2)).run(Looks(nothing, nothing))) == [] == again.asked
    looks = Looks(put(folder, "f.jpg"), nothing, nothing)
    more = [one.path for one in Watch(again, folder, out, BulkSettings(size=2)).run(looks)]
    assert more == ["f.jpg"] and [len(path.read_text().splitlines()) for path in sorted(out.glob("*.jsonl"))] == [2] * 3


def test_a_picture_that_is_still_being_copied_is_waited_for(folder: Path, out: Path) -> None:
    growing = [put(folder, "a.jpg", content=b"x" * size) for size in (1, 2, 3)]
    stub = Stub()
    list(Watch(stub, folder, out).run(Looks(*growing, nothing, nothing)))
    assert stub.asked == ["a.jpg"] and answered(out) == [("a.jpg", 3)]

    def touched() -> None:  # its full size is there, its bytes are not
        os.utime(folder / "b.jpg", ns=(0, (folder / "b.jpg").stat().st_mtime_ns + 10**9))

    stub = Stub()
    list(Watch(stub, folder, out).run(Looks(put(folder, "b.jpg"), touched, touched)))
    assert stub.asked == []


def test_another_picture_of_the_same_name_is_answered_too(folder: Path, out: Path) -> None:
    put(folder, "a.jpg")()
    list(Watch(Stub(), folder, out).run(Looks(nothing, put(folder, "a.jpg", content=b"another one"), nothing)))
    assert answered(out) == [("a.jpg", 7), ("a.jpg", 11)]


def test_what_goes_before_it_is_read_is_looked_for_again(folder: Path, out: Path) -> None:
    put(folder, "a.jpg", "b.jpg", "c.jpg")()
    (folder / "c.jpg").write_bytes(b"")
    stub = Stub()
    stub.meanwhile = lambda path: path.unlink() if path.name == "a.jpg" else None
    list(Watch(stub, folder, out).run(Looks(nothing)))
    assert answered(out) == [("b.jpg", 7), ("c.jpg", 0)] and "damaged" in rows(out)[1]["error"]
    put(folder, "a.jpg")()
    list(Watch(Stub(), folder, out).run(Looks(nothing, nothing)))
    assert answered(out) == [("b.jpg", 7), ("c.jpg", 0), ("a.jpg", 7)]


def test_a_folder_that_is_away_for_a_while_is_waited_for(folder: Path, out: Path, caplog) -> None:
    put(folder, "a.jpg")()
    away = folder.with_name("away")
    looks = Looks(lambda: folder.rename(away), lambda: away.rename(folder), nothing, nothing)
    list(Watch(Stub(), folder, out).run(looks))
    assert answered(out) == [("a.jpg", 7)] and "cannot be read" in caplog.text and "tried again" in caplog.text


def test_a_folder_that_cannot_be_listed_has_nothing_answered_twice(folder: Path, out: Path, monkeypatch) -> None:
    put(folder, "a.jpg")()
    listing = watching.pictures_in

    def refused(*_: object) -> Iterator[Path]:
        raise DataError("'inner' cannot be read.")

    looks = Looks(nothing, lambda: monkeypatch.setattr(watching, "pictures_in", refused), nothing, nothing,
                  lambda: monkeypatch.setattr(watching, "pictures_in", listing), nothing)  # fmt: skip
    list(Watch(Stub(), folder, out).run(looks))
    assert answered(out) == [("a.jpg", 7)]


def test_a_file_that_is_made_at_its_full_size_and_filled_later_is_answered(folder: Path, out: Path) -> None:
    """The stub cannot read an empty file: its size stays, its time of change does not."""
    stub = Stub()
    looks = Looks(put(folder, "a.jpg", content=b""), nothing, nothing, lambda: os.utime(folder / "a.jpg", (0, 0)),
                  nothing, nothing)  # fmt: skip
    list(Watch(stub, folder, out).run(looks))
    assert stub.asked == ["a.jpg", "a.jpg"] and answered(out) == [("a.jpg", 0)] * 2


def test_a_watch_that_is_killed_at_any_writing_goes_on(folder: Path, out: Path, monkeypatch) -> None:
    names = [f"{number}.jpg" for number in range(7)]
    put(folder, *names)()
    monkeypatch.setattr(watching, "AT_ONCE", 2)
    replace = Path.replace
    for moment in ("before", "after", "before", "after"):

        def end(self: Path, target: Path, moment: str = moment) -> None:
            if moment == "after":
                replace(self, target)
            os.kill(os.getpid(), signal.SIGKILL)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons dislike forks beside threads
            child = os.fork()
        if child == 0:
            try:
                monkeypatch.setattr(Path, "replace", end)
                list(Watch(Stub(), folder, out, BulkSettings(size=3)).run(Looks(nothing, nothing)))
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert answered(out) == [(name, 7) for name in names[:3]]  # two, then the one that fills the file
    list(Watch(Stub(), folder, out, BulkSettings(size=3)).run(Looks(nothing, nothing)))
    assert answered(out) == [(name, 7) for name in names] and not list(out.glob("*.partial"))


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_it_stops_between_two_pictures_and_keeps_what_it_has(
    folder: Path, out: Path, monkeypatch, at_once: int
) -> None:
    monkeypatch.setattr(watching, "AT_ONCE", at_once)
    put(folder, "a.jpg", "b.jpg", "c.jpg", "d.jpg")()
    stop, stub = threading.Event(), Stub()
    stub.meanwhile = lambda path: stop.set() if path.name == "b.jpg" else None
    seen = list(Watch(stub, folder, out).run(lambda seconds: stop.wait(seconds / 1000)))
    assert [one.path for one in seen] == ["a.jpg", "b.jpg"] == [row["path"] for row in rows(out)]


def test_a_damaged_file_is_set_aside(folder: Path, out: Path, caplog) -> None:
    put(folder, "a.jpg", "b.jpg", "c.jpg")()
    list(Watch(Stub(), folder, out, BulkSettings(size=1)).run(Looks(nothing)))
    first, second, _ = sorted(out.glob("*.jsonl"))
    first.write_text(first.read_text()[:-20])
    second.write_text('{"path": "b.jpg"}\n')
    list(Watch(Stub(), folder, out, BulkSettings(size=1)).run(Looks(nothing)))
    assert sorted(answered(out)) == [("a.jpg", 7), ("b.jpg", 7), ("c.jpg", 7)]
    assert len(list(out.glob("*.damaged"))) == 2 and caplog.text.count("is damaged") == 2


def test_parquet_says_the_same(folder: Path, tmp_path: Path) -> None:
    put(folder, "a.jpg", "b.jpg")()
    for looks in (Looks(nothing), Looks(put(folder, "c.jpg"), nothing, nothing)):
        list(Watch(Stub(), folder, tmp_path / "parquet", BulkSettings("parquet")).run(looks))
    [file] = (tmp_path / "parquet").glob("*.parquet")
    assert [(row["path"], row["bytes"], dict(row["scores"])) for row in parquet.read_table(file).to_pylist()] == [
        (name, 7, {"wren": 0.75, "owl": 0.25}) for name in ("a.jpg", "b.jpg", "c.jpg")
    ]


def test_answers_of_another_job_are_refused(folder: Path, out: Path, tmp_path: Path) -> None:
    put(folder, "a.jpg")()
    list(Watch(Stub(), folder, out).run(Looks(nothing)))
    with pytest.raises(RunError, match=r"answers other pictures.*Choose another --out"):
        BulkJob(Stub(), folder, out)
    for other in (BulkSettings(top=2), BulkSettings("parquet")):
        with pytest.raises(RunError, match=r"not written by a watch.*Choose another --out"):
            list(Watch(Stub(), folder, out, other).run(Looks()))
    list(BulkJob(Stub(), folder, tmp_path / "plain").run())
    with pytest.raises(RunError, match="not written by a watch"):
        list(Watch(Stub(), folder, tmp_path / "plain").run(Looks()))
    with locked(out), pytest.raises(RunError, match="in use by"):
        list(Watch(Stub(), folder, out).run(Looks()))
    with pytest.raises(DataError, match="only a folder can be watched"):
        Watch(Stub(), folder / "a.jpg", out)
    with pytest.raises(ConfigError, match="must be at least 1"):
        Watch(Stub(), folder, out, BulkSettings(top=0))


def test_answers_are_those_of_predict(tmp_path: Path) -> None:
    recognizer = made_up(tmp_path / "model")
    folder = tmp_path / "few"
    folder.mkdir()
    for number in range(2):
        Image.new("RGB", (40, 30), (90 * number, 80, 70)).save(folder / f"{number}.png")
    list(Watch(recognizer, folder, tmp_path / "out").run(Looks(nothing)))
    plain = [one.to_dict() for one in recognizer.predict_many([folder / "0.png", folder / "1.png"])]
    kept = rows(tmp_path / "out")
    assert [{**row, "path": None} for row in plain] == [
        {key: value for key, value in {**row, "path": None}.items() if key != "bytes"} for row in kept
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_to_stop_and_a_second_one_ends_it(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with asked_to_stop() as stop:
        assert not stop.is_set() and signal.getsignal(number) != before
        signal.raise_signal(number)
        assert stop.is_set() and signal.getsignal(number) == before
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stops_in_peace(small_run: Path, birds: Path, tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(next(birds.rglob("*.jpg")).read_bytes())
    command = [sys.executable, "-m", "wingbar", "predict-many", small_run, folder, "--out", tmp_path / "out", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("a.jpg: ")
        process.send_signal(number)
        out, err = process.communicate()
    assert (process.returncode, out) == (0, "") and "1 picture answered since the start" in err
    assert [row["path"] for row in rows(tmp_path / "out")] == ["a.jpg"]
