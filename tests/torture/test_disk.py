"""A full disk and a folder that may not be written to: a clear message, and nothing half-written."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wingbar._system import files
from wingbar._system.files import new_folder, sweep, write_bytes
from wingbar._system.locks import locked
from wingbar.cli import main
from wingbar.errors import RunError

PLAIN = [
    "--method", "plain", "--net", "res2net_nano", "--weights", "none", "--size", "48", "--epochs", "1",
    "--batch-size", "8", "--workers", "0", "--quiet",
]  # fmt: skip


def wingbar(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB: the folder of the first step fits, a net does not."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def files_of_at_most_20k() -> Iterator[None]:
    """What stands for a full disk where nothing can be mounted: larger files fail as they are written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def partial(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if ".partial" in path.name]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write_bytes(tmp_path / "a", b"old")

    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(RunError, match=rf"{tmp_path / 'a'}: cannot be written \({os.strerror(number)}\)"):
        write_bytes(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_bytes() == b"old"


@pytest.mark.parametrize("number", files.NO_FLUSH)
def test_a_file_system_that_cannot_flush_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "fsync", fail)
    write_bytes(tmp_path / "a", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and (tmp_path / "a").read_bytes() == b"new"


def test_a_file_too_large_for_the_disk_leaves_nothing(tmp_path: Path, files_of_at_most_20k: None) -> None:
    with pytest.raises(RunError, match="make room"):
        write_bytes(tmp_path / "a", bytes(30_000))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", ["filling", "naming"])
def test_a_folder_is_replaced_whole_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    folder, rename = tmp_path / "model", Path.rename
    (folder).mkdir()
    (folder / "old").touch()

    def fail(path: Path, target: Path) -> Path:
        if path.name == "model.new.partial":
            raise KeyboardInterrupt
        return rename(path, target)

    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch, new_folder(folder) as fresh:
        patch.setattr(Path, "rename", fail)
        (fresh / "new").touch()
        if fails == "filling":
            raise KeyboardInterrupt
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["model", "model/old"]
    with new_folder(folder) as fresh:
        (fresh / "new").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["model", "model/new"]


def test_what_a_killed_writer_left_is_put_back_or_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "model.old.partial").mkdir()
    (tmp_path / "model.new.partial").mkdir()
    (tmp_path / "a.json.77.partial").touch()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_training_on_a_full_disk_ends_with_two_and_goes_on_where_there_is_room(
    small_disk: Path, birds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_disk / "run"
    assert wingbar("train", birds, "--out", run, *PLAIN) == 2
    err = capsys.readouterr().err
    assert f"wingbar: {run}" in err and "No space left on device" in err and "make room" in err
    assert "Traceback" not in err and not partial(small_disk)
    assert (run / "steps" / "data" / "result.json").is_file() and not (run / "model").exists()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    data = (run / "steps" / "data" / "result.json").stat().st_mtime_ns
    assert wingbar("train", birds, "--out", run, *PLAIN) == 0
    assert (run / "steps" / "data" / "result.json").stat().st_mtime_ns == data

    # The same disk, read-only: root may write where permissions say no, but not here.
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert wingbar("evaluate", run) == 0
    assert "Nothing was kept" in capsys.readouterr().out
    for command in (["train", birds, "--out", run, *PLAIN], ["guide", run]):
        assert wingbar(*command) == 2
        err = capsys.readouterr().err
        assert "cannot be written" in err and "Read-only file system" in err and "Traceback" not in err


def test_training_past_the_limit_of_a_file_ends_with_two(
    tmp_path: Path, birds: Path, files_of_at_most_20k: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wingbar("train", birds, "--out", tmp_path / "run", *PLAIN) == 2
    err = capsys.readouterr().err
    assert "File too large" in err and "Traceback" not in err and not partial(tmp_path)


def test_a_folder_is_not_locked_twice_by_one_process(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(RunError, match=f"in use by process {os.getpid()} on "), locked(tmp_path):
            pass
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on ")
    with locked(tmp_path):
        pass
