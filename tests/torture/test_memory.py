"""Memory that does not suffice: the command ends with what to do, and its run goes on as if nothing had been."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from bounds import SUPPORT
from killing import contents
from safetensors.torch import load_file

from wingbar.cli import main, parse
from wingbar.cli.stops import again, starved
from wingbar.data import load as load_data
from wingbar.errors import PictureError
from wingbar.images import read_picture
from wingbar.learning import loop
from wingbar.recognizer import load

TRAIN = [
    "--method", "plain", "--net", "res2net_nano", "--weights", "none", "--size", "96", "--epochs", "2",
    "--batch-size", "16", "--quiet",
]  # fmt: skip
SECOND_EPOCH = """
import json, multiprocessing, os, re, resource, signal, sys
from pathlib import Path
from killing import forked
from wingbar.cli import main
from wingbar.learning import loop

def starve():
    held = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (held, -1))
    try:
        while True:  # what was given back and only kept at hand
            ballast.append(bytearray(1 << 20))
    except MemoryError:
        del ballast[-4:]  # enough for Python, not for a batch

def kill_a_loader():
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

def live(act, told, command):
    def run_epoch(*given):
        if given[2].epoch == 1:  # the sampler's
            act()
        return whole(*given)

    whole, loop.run_epoch = loop.run_epoch, run_epoch
    os.dup2(os.open(told, os.O_WRONLY | os.O_CREAT), 2)
    main(command)

ballast = []
for request in sys.stdin:
    act, told, *command = json.loads(request)
    child = forked(lambda: live(globals()[act], told, command))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs commands that something happens to at the start of their second epoch, each in a fork of its own."""


def train(birds: Path, run: Path, *more: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["train", str(birds), "--out", str(run), *TRAIN, *more])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, birds: Path) -> dict[str, str]:
    """Checksums of an uninterrupted run."""
    run = tmp_path_factory.mktemp("memory") / "run"
    assert train(birds, run, "--workers", "0") == 0
    return contents(run)


@pytest.fixture(scope="module")
def lives() -> Iterator[subprocess.Popen[str]]:
    """The process that forks the commands."""
    command, env = [sys.executable, "-c", SECOND_EPOCH], os.environ | {"OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(SUPPORT.parents[1] / "src"), str(SUPPORT)])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        yield process
        process.communicate()  # no more commands: it ends


def ended_in_the_second_epoch(act: str, lives: subprocess.Popen[str], birds: Path, run: Path, workers: int) -> str:
    """What the command says, which has to end with 2; the run then goes on without what happened."""
    log = run.with_name("told")
    command = ["train", str(birds), "--out", str(run), *TRAIN, "--workers", str(workers)]
    assert lives.stdin is not None and lives.stdout is not None
    print(json.dumps([act, str(log), *command]), file=lives.stdin, flush=True)
    code, said = int(lives.stdout.readline()), log.read_text()
    assert code == 2, said
    assert "Traceback" not in said
    assert (run / "steps" / "filternet" / "training.safetensors").is_file() and not (run / "model").exists()
    return said


def test_a_training_that_is_refused_memory_says_what_to_lower_and_goes_on_to_the_same_bits(
    tmp_path: Path, birds: Path, whole: dict[str, str], lives: subprocess.Popen[str]
) -> None:
    message = ended_in_the_second_epoch("starve", lives, birds, tmp_path / "run", workers=0)
    assert message.startswith("wingbar: not enough memory (")
    assert f"go on with: wingbar train {birds} --out {tmp_path / 'run'} --method plain" in message
    assert "lower --batch-size (it is 16) or --size (it is 96)" in message and message.endswith("--batch-size 8\n")
    assert train(birds, tmp_path / "run", "--workers", "0") == 0
    assert contents(tmp_path / "run") == whole


def test_a_training_that_memory_does_not_suffice_for_takes_its_batches_in_portions(
    tmp_path: Path, birds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('recipe = "finetune"\ntraining = { dropout = 0.0 }\n')
    models = []
    for name, free in (("whole", 1 << 40), ("portions", 50 << 20)):
        monkeypatch.setattr(loop, "free_memory", lambda free=free: free)
        command = ["train", str(birds), "--out", str(tmp_path / name), *TRAIN[:-1], "--config", str(settings)]
        with pytest.raises(SystemExit) as ended:
            main([*command, "--workers", "0"])
        assert not ended.value.code
        assert ("each batch is taken in" in capsys.readouterr().err) == (name == "portions")
        models.append(load_file(tmp_path / name / "model" / "picture.safetensors"))
    for one, other in zip(models[0].values(), models[1].values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_training_whose_loader_is_killed_says_so_and_goes_on_to_the_same_bits(
    tmp_path: Path, birds: Path, whole: dict[str, str], lives: subprocess.Popen[str]
) -> None:
    message = ended_in_the_second_epoch("kill_a_loader", lives, birds, tmp_path / "run", workers=1)
    assert "a process that loads pictures was ended from outside" in message
    assert message.endswith("--workers 0\n")
    assert train(birds, tmp_path / "run", "--workers", "0") == 0
    assert contents(tmp_path / "run") == whole


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("could not create a memory object"),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("Caught RuntimeError in DataLoader worker process 0.\n\nRuntimeError: can't allocate memory"),
    ],
    ids=repr,
)
def test_every_library_s_word_for_it_is_known(error: Exception) -> None:
    message = starved(error, None, ["data", "check", "birds"])
    assert message is not None and message.startswith("not enough memory") and "DataLoader" not in message


def test_other_errors_are_not_taken_for_it() -> None:
    for error in (RuntimeError("shape '[2]' is invalid"), OSError(2, "No such file"), ValueError("out of memory")):
        assert starved(error, None, ["train"]) is None


def test_a_batch_that_the_recipe_has_chosen_is_halved_too() -> None:
    arguments = ["train", "birds", "--out", "run"]
    message = starved(MemoryError(), parse(arguments), arguments)
    assert message is not None and message.endswith(
        "To need less, lower --batch-size (it is 32) or --size (it is 224) or --workers (it is 2). All but --workers "
        "make another model, so trainings begin again: wingbar train birds --out run --batch-size 16"
    )


def test_the_command_to_go_on_with_has_each_option_once() -> None:
    given = ["train", "a", "--batch-size", "16", "--from=parts", "--out", "b", "--batch-size=3"]
    assert again(given, batch_size=8) == ["train", "a", "--out", "b", "--batch-size", "8"]


def test_a_prediction_that_is_refused_memory_is_made_in_halves(
    small_run: Path, birds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = load(small_run)
    paths = [sample.path for sample in load_data(birds).split("test")[:7]]
    expected = list(named.predict_many(paths))
    seen: list[int] = []
    forward = type(named.runtime.modules["picture"]).forward

    def short(self: torch.nn.Module, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        seen.append(len(pixels))
        return forward(self, pixels)

    monkeypatch.setattr(type(named.runtime.modules["picture"]), "forward", short)
    halved = list(named.predict_many(paths))
    assert seen == [2, 2, 2, 1]
    for one, other in zip(halved, expected, strict=True):
        assert one.object_box == other.object_box
        np.testing.assert_allclose(one.evidence, other.evidence, rtol=1e-5, atol=1e-6)


def test_a_picture_without_memory_is_not_set_aside_as_damaged(
    tmp_path: Path, birds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*given: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("wingbar.images._to_rgb", refused)
        assert train(birds, tmp_path / "run", "--workers", "0") == 2
        message = capsys.readouterr().err
        assert "not enough memory to decode it" in message and "go on with" in message
        with pytest.raises(PictureError):
            read_picture(load_data(birds).samples[0].path)
    assert not (tmp_path / "run" / "steps" / "data" / "result.json").exists()
