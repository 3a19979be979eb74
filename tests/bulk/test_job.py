"""Every picture is answered once, whenever a job is stopped. Oracle: plain `predict_many` over the same pictures."""

from __future__ import annotations

import json
import os
import signal
import tarfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import card
from pyarrow import parquet

import wingbar
from wingbar._system.locks import locked
from wingbar.bulk.answers import Format
from wingbar.bulk.chunks import Chunk, chunk, cut, foreign_chunks
from wingbar.bulk.job import BulkJob
from wingbar.bulk.settings import BulkSettings
from wingbar.cli import main
from wingbar.data.listing import listed
from wingbar.errors import ConfigError, DataError, RunError
from wingbar.images import Source
from wingbar.opam.taxonomy import fit_lineages
from wingbar.prediction import Part, Prediction
from wingbar.recognizer import Recognizer

PICTURES, SIZE = 23, 5
LINEAGES = fit_lineages(
    None, ("wren", "<b>\n鳥"), np.eye(2, dtype=np.float32)[np.arange(60) % 2], np.arange(60, dtype=np.int64) % 2
)


class Stub(Recognizer):
    """Answers by the picture's name alone; every seventh picture is unreadable."""

    def __init__(self, model: str = "one") -> None:
        sums = dict.fromkeys(("picture", "object", "parts"), "0" * 64)
        self.card, self.asked = replace(card(("wren", "owl"), sums), method=model), list[str]()

    def predict_many(
        self, pictures: Iterable[Source], batch_size: int = 16, *, views: str = "all", **place: object
    ) -> Iterator[Prediction]:
        for picture in pictures:
            self.asked.append(Path(str(picture)).name)
            number = int(Path(str(picture)).stem)
            if number % 7 == 3:
                yield Prediction(str(picture), error=f"'{picture}': damaged")
                continue
            scores = {"wren": 1 - number / 100, "<b>\n鳥": number / 100}
            part = Part((1, 2, 3, number + 4), number % 2, scores)
            yield Prediction(
                str(picture), (9, 8), scores, (0, 0, 9, 8), (part,) * (number % 3), {"picture": scores},
                lineages=LINEAGES if number % 2 else None, known=number / 100, least_known=0.05,
            )  # fmt: skip


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(PICTURES):
        (folder / f"{number:02d}.jpg").touch()
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def files(out: Path) -> list[Path]:
    return sorted(path for path in out.iterdir() if path.suffix in (".jsonl", ".parquet")) if out.exists() else []


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in files(out) for line in path.read_text().splitlines()]


def expected(pictures: Path) -> list[dict[str, Any]]:
    """Plain `predict_many`, with names relative to the folder."""
    predictions = Stub().predict_many([item.source for item in listed(pictures)])
    return [{**one.to_dict(), "path": Path(str(one.path)).name} for one in predictions]


def stamps(out: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files(out)}


@pytest.mark.parametrize("stop", range(PICTURES + 1))
def test_a_stopped_job_loses_one_chunk_at_most_and_doubles_nothing(pictures: Path, out: Path, stop: int) -> None:
    assert len(list(islice(BulkJob(Stub(), pictures, out, BulkSettings(size=SIZE)).run(), stop))) == stop
    whole = min(stop // SIZE, PICTURES // SIZE) + (stop == PICTURES)
    before, again = stamps(out), Stub()
    assert len(before) == whole
    job = BulkJob(again, pictures, out, BulkSettings(size=SIZE))
    assert (job.answered, job.total) == (min(whole * SIZE, PICTURES), PICTURES)
    list(job.run())
    assert (
        again.asked == [f"{number:02d}.jpg" for number in range(job.answered, PICTURES)] and stop - job.answered < SIZE
    )
    assert rows(out) == expected(pictures)
    assert {name: stamp for name, stamp in stamps(out).items() if name in before} == before


def killed(work: Iterator[object], after: int) -> None:
    """Let another process do ``work`` and kill it without warning after so many results."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons dislike forks beside threads
        child = os.fork()
    if child == 0:
        try:
            for _ in islice(work, after):
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_killed_job_goes_on(pictures: Path, out: Path) -> None:
    for after in (SIZE - 1, SIZE, 2 * SIZE + 1):  # of what is left each time
        killed(BulkJob(Stub(), pictures, out, BulkSettings(size=SIZE)).run(), after)
    assert len(files(out)) == 3
    list(BulkJob(Stub(), pictures, out, BulkSettings(size=SIZE)).run())
    assert rows(out) == expected(pictures)


def test_a_job_killed_while_it_writes_leaves_no_half_chunk(pictures: Path, out: Path, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        killed(BulkJob(Stub(), pictures, out, BulkSettings(size=SIZE)).run(), PICTURES)
    assert [path.suffix for path in out.iterdir() if path.suffix] == [".partial"] and not files(out)
    list(BulkJob(Stub(), pictures, out, BulkSettings(size=SIZE)).run())
    assert rows(out) == expected(pictures) and not list(out.glob("*.partial"))


def test_a_damaged_chunk_is_made_again(pictures: Path, out: Path) -> None:
    list(BulkJob(Stub(), pictures, out, BulkSettings(size=SIZE)).run())
    first, second, third, *_ = files(out)
    first.write_text("")
    second.write_text(second.read_text()[:-20])
    third.write_bytes(b"\xff\n" * SIZE)
    again = Stub()
    list(BulkJob(again, pictures, out, BulkSettings(size=SIZE)).run())
    assert len(again.asked) == 3 * SIZE and rows(out) == expected(pictures)


def plain(value: Any) -> Any:
    """What Parquet gives, as JSON has it: pairs are maps, and what is null is not there."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        pairs = value and all(isinstance(item, tuple) for item in value)
        return {key: plain(item) for key, item in value} if pairs else [plain(item) for item in value]
    return value


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_strangers_are_listed_by_look_also_of_chunks_from_before(pictures: Path, out: Path, form: Format) -> None:
    killed(BulkJob(Stub(), pictures, out, BulkSettings(form, SIZE)).run(), 7)
    job = BulkJob(Stub(), pictures, out, BulkSettings(form, SIZE))
    list(job.run())
    expected = [{"path": f"{number:02d}.jpg", "known": number / 100} for number in (0, 1, 2, 4)]  # 3 is unreadable
    assert job.list_strangers() == {"wren": expected} == json.loads((out / "strangers.json").read_text())
    assert BulkJob(Stub(), pictures, out, BulkSettings(form, SIZE)).answered == PICTURES


def test_both_formats_say_the_same(pictures: Path, tmp_path: Path) -> None:
    list(BulkJob(Stub(), pictures, tmp_path / "jsonl", BulkSettings(size=SIZE)).run())
    job = BulkJob(Stub(), pictures, tmp_path / "parquet", BulkSettings("parquet", SIZE))
    list(job.run())
    result = [plain(row) for path in files(tmp_path / "parquet") for row in parquet.read_table(path).to_pylist()]
    assert result == [plain(row) for row in rows(tmp_path / "jsonl")]
    unreadable = sum("error" in row for row in result)
    kept = BulkJob(Stub(), pictures, tmp_path / "parquet", BulkSettings("parquet", SIZE))
    assert kept.answered == PICTURES and sum(kept.unreadable.values()) == unreadable == 3


def test_names_of_any_bytes_are_written_in_both_formats(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in (b"0\xff/1.jpg", b"x\ny/2.jpg"):
        path = os.fsencode(tmp_path / "in") + b"/" + name
        os.makedirs(os.path.dirname(path))  # noqa: PTH103, PTH120 (bytes)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    for form in ("jsonl", "parquet"):
        list(BulkJob(Stub(), tmp_path / "in", tmp_path / form, BulkSettings(form)).run())  # type: ignore[arg-type] # a stand-in
    assert [row["path"] for row in rows(tmp_path / "jsonl")] == ["0\\xff/1.jpg", "x\ny/2.jpg"]
    [file] = files(tmp_path / "parquet")
    assert parquet.read_table(file)["path"].to_pylist() == ["0\\xff/1.jpg", "x\ny/2.jpg"]


def test_answers_of_another_job_are_not_mixed_in(pictures: Path, out: Path) -> None:
    list(BulkJob(Stub(), pictures, out, BulkSettings(size=SIZE)).run())
    before = rows(out)
    same = BulkSettings(size=SIZE)
    others = [(Stub(), replace(same, size=7)), (Stub(), replace(same, top=2)), (Stub("other"), same)]
    for recognizer, settings in [*others, (Stub(), replace(same, form="parquet"))]:
        with pytest.raises(RunError, match=r"answers other pictures.*Choose another --out"):
            BulkJob(recognizer, pictures, out, settings)
    (pictures / "000.jpg").touch()
    with pytest.raises(RunError, match="answers other pictures"):
        BulkJob(Stub(), pictures, out, BulkSettings(size=SIZE))
    assert rows(out) == before


def test_pictures_that_change_meanwhile_are_told(pictures: Path, out: Path) -> None:
    job = BulkJob(Stub(), pictures, out, BulkSettings(size=SIZE))
    (pictures / "12.jpg").unlink()
    with pytest.raises(DataError, match="has changed since it was listed"):
        list(job.run())
    assert len(files(out)) == 2


def test_two_jobs_keep_out_of_each_others_way(pictures: Path, out: Path) -> None:
    with locked(out), pytest.raises(RunError, match="in use by"):
        next(BulkJob(Stub(), pictures, out).run())


def test_what_cannot_be_done_is_told(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures in it"):
        BulkJob(Stub(), tmp_path / "empty", tmp_path / "out")
    with pytest.raises(ConfigError, match="must be at least 1"):
        BulkJob(Stub(), pictures, tmp_path / "out", BulkSettings(size=0))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wingbar._system.files.os.fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*the same command again"):
        list(BulkJob(Stub(), pictures, tmp_path / "out").run())
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'wingbar\[parquet\]'"):
        BulkJob(Stub(), pictures, tmp_path / "out", BulkSettings("parquet"))


def test_chunks_are_named_by_all_that_they_depend_on() -> None:
    one = chunk(3, ["a", "bc"], "key", "jsonl")
    assert one == chunk(3, ["a", "bc"], "key", "jsonl") and one.count == 2 and one.file.startswith("000003-")
    others = [
        chunk(3, ["ab", "c"], "key", "jsonl"),
        chunk(3, ["a", "bc"], "kez", "jsonl"),
        chunk(3, [], "key", "jsonl"),
    ]
    assert len({one.file, *(other.file for other in others)}) == 4
    assert list(cut(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]] and list(cut([], 3)) == []
    assert foreign_chunks([one.file, "lock", "notes.jsonl", f"{one.file}.partial", others[0].file], [one]) == [
        others[0].file
    ]
    assert foreign_chunks([one.file], [Chunk(one.file, 2)]) == []


def test_a_table_a_folder_and_an_archive_are_answered_as_by_predict(
    small_run: Path, birds: Path, tmp_path, capsys
) -> None:
    folder = tmp_path / "birds"
    folder.mkdir()
    for number, path in enumerate(sorted(birds.rglob("*.jpg"))[:5]):
        (folder / f"{number}.jpg").write_bytes(path.read_bytes())
    (folder / "4.jpg").write_bytes(b"no picture")
    with tarfile.open(tmp_path / "birds.tar", "w") as archive:
        archive.add(folder, "")
    names = sorted(path.name for path in folder.iterdir())
    (folder / "all.csv").write_text("\n".join(["path", *names]))
    recognizer = wingbar.load(small_run)
    answer = [one.to_dict(2) for one in recognizer.predict_many([folder / name for name in names], 2)]
    result = {}
    for source in (folder, folder / "all.csv", tmp_path / "birds.tar"):
        out = tmp_path / f"{source.name}.out"
        arguments = [small_run, source, "--out", out, "--top", 2, "--batch-size", 2, "--chunk-size", 2]
        with pytest.raises(SystemExit) as ended:
            main(["predict-many", *map(str, arguments)])
        err = capsys.readouterr().err
        assert ended.value.code == 1 and "1 of 5 pictures could not be read" in err and "4.jpg': not a picture" in err
        result[source.name] = [{key: row[key] for key in row if key not in ("path", "error")} for row in rows(out)]
        assert [row["path"].removeprefix("birds.tar/") for row in rows(out)] == names
    assert len(answer) == 5 and list(answer[-1]) == ["path", "error"]
    plainly = [{key: one[key] for key in one if key not in ("path", "error")} for one in answer]
    assert result == dict.fromkeys(("birds", "all.csv", "birds.tar"), plainly)
