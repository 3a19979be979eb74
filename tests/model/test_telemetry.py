"""Nothing that we start tells anybody anything. Oracle: the kernel, which ends the process at its first socket.

Left out: int8, whose quantiser makes a UUID: the C library looks up a network card by a socket that sends nothing.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import untrained

from wingbar.model.export import export

BAN = """
import ctypes, struct, platform
NUMBER = {"x86_64": 41, "aarch64": 198}[platform.machine()]  # of the system call socket()
LOAD, EQUAL, GIVE, ALLOW, KILL = 0x20, 0x15, 0x06, 0x7FFF0000, 0x80000000
steps = [  # seccomp(2): a socket of the internet's (family 2 or 10) ends the process
    (LOAD, 0, 0, 0), (EQUAL, 0, 4, NUMBER), (LOAD, 0, 0, 16), (EQUAL, 1, 0, 2), (EQUAL, 0, 1, 10), (GIVE, 0, 0, KILL),
    (GIVE, 0, 0, ALLOW),
]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
"""
PREDICT = """
import sys, numpy, wingbar
exported, model = sys.argv[1:]
grey = numpy.full((40, 60, 3), 99, numpy.uint8)
wingbar.load(exported, runtime="onnx").predict(grey)
wingbar.load(model).predict(grey)
import wingbar.cli, wingbar.training, wingbar.steps.reporting
from tensorboard.summary.writer import record_writer
"""
banned = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="the ban is Linux's seccomp"
)


def run(code: str, home: Path, *arguments: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python in a home of its own, which may open no socket of the internet."""
    dropped = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "ORT_DISABLE_TELEMETRY", "HF_HOME")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return subprocess.run(
        [sys.executable, "-c", BAN + code, *map(str, arguments)], env={**kept, "HOME": str(home), **environment},
        capture_output=True, text=True,
    )  # fmt: skip


@banned
def test_no_door_leaves_a_file_at_home_or_opens_a_socket(tmp_path: Path) -> None:
    home, model = tmp_path / "home", untrained(tmp_path / "model", "plain")
    home.mkdir()
    export(model, tmp_path / "onnx")
    done = run(PREDICT, home, tmp_path / "onnx", model)
    assert done.returncode == 0, done.stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []


@banned
def test_the_ban_bans(tmp_path: Path) -> None:
    assert run("import socket; socket.socket()", tmp_path).returncode == -signal.SIGSYS
    assert run("import socket; socket.socket(socket.AF_UNIX)", tmp_path).returncode == 0


@pytest.mark.parametrize(("given", "left"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_what_the_user_says_about_telemetry_stays(
    tmp_path: Path, monkeypatch, given: dict[str, str], left: str
) -> None:
    from wingbar.model._onnx import import_onnxruntime

    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    import_onnxruntime()
    assert os.environ["ORT_DISABLE_TELEMETRY"] == left
