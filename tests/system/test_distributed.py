"""One process or several: the same arrays, the same answers, nearly the same weights; and what ends one ends all.

torchrun starts the ranks where it matters how they start and end: `ranks_alike`, a killed rank, an error of the
user's. Elsewhere they are forked (`forked_ranks`), which spares their imports. The long form (`make torture-ranks`)
has torchrun throughout, four processes, two hosts and a rank killed on each.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from forked_ranks import Forks
from launching import Host, done, ended, kill_when, torchrun, torchrun_on, two_hosts, why_no_hosts
from PIL import Image
from safetensors.numpy import load_file

import wingbar
from wingbar._system.distributed import ALONE, opened
from wingbar.cli import main, stopped
from wingbar.config import Config, to_toml
from wingbar.errors import ConfigError
from wingbar.evaluation.evaluate import evaluate
from wingbar.nets import create

SUPPORT = Path(__file__).parents[1] / "support"
LONG = bool(os.environ.get("WINGBAR_TORTURE"))
NETS = ("filternet", "classnet", "objectnet", "partnet")
MANY = [3, *(pytest.param(n, marks=pytest.mark.skipif(not LONG, reason="make torture-ranks")) for n in (2, 4))]
"""Three at least show whether sums are taken in the same order: those of two are the same in both."""
TOLERANCE = 1e-5
"""Of weights, against those of one process: sums over the pictures of a batch are taken in another order."""
PLAIN = Config(
    method="plain", net="mobilenetv3_small_050", weights="none", size=48, epochs=2, batch_size=7, workers=0,
    training={"frozen_norms": True},
)  # fmt: skip
"""Seven pictures a batch: the ranks get unequal shares. The net has layers that no map passes through."""
SHARDED = replace(PLAIN, strategy="fsdp")


def contents(run: Path) -> dict[str, bytes]:
    """All that a run's answers come from."""
    kept = [*run.glob("model/*"), *run.glob("steps/*/result.safetensors")]
    return {str(path.relative_to(run)): path.read_bytes() for path in kept}


def furthest(run: Path, other: Path) -> float:
    """Largest difference between two runs' weights."""
    one, two = (load_file(folder / "model" / "picture.safetensors") for folder in (run, other))
    return max(float(np.abs(one[name].astype(np.float64) - two[name]).max()) for name in one)


def without_what_is_shared_out(run: Path, copy: Path) -> Path:
    """The run with its nets alone."""
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "model")
    for step in (copy / "steps").iterdir():
        if step.name not in NETS:
            shutil.rmtree(step)
    return copy


def command(out: Path, birds: Path, config: Config, *more: str) -> list[str | Path]:
    settings = out.with_name(f"{out.name}.toml")
    settings.write_text(to_toml(config))
    return ["train", birds, "--out", out, "--config", settings, *more]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, birds: Path) -> Path:
    """A plain run of one process."""
    run = tmp_path_factory.mktemp("alone") / "run"
    wingbar.train(birds, run, PLAIN, quiet=True)
    return run


@pytest.fixture(scope="module", params=MANY)
def ranks(request: pytest.FixtureRequest) -> int:
    """How many processes."""
    return request.param


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    """What runs a job of several processes."""
    with Torchrun() if LONG else Forks() as forks:
        yield forks


class Torchrun(Forks):
    """The same by torchrun."""

    def __init__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, line: Sequence[str | Path], ranks: int) -> tuple[int, str, str]:
        return ended(torchrun(["-m", "wingbar", *line], ranks=ranks))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, birds: Path, ranks: int, forks: Forks) -> Path:
    """The same run of several processes."""
    run = tmp_path_factory.mktemp("together") / "run"
    forks.done(command(run, birds, PLAIN), ranks)
    return run


def test_one_process_is_a_world_of_its_own() -> None:
    assert ALONE.gather(lambda: 1) == [1]
    assert ALONE.first(lambda: 1) == ALONE.each(lambda: 1) == 1
    assert (
        ALONE.map(str, range(3), lambda results, count: results)
        == ALONE.collect(lambda: iter("012"))
        == list(ALONE.stream(iter("012")))
    )
    assert list(ALONE.share(range(3))) == [0, 1, 2]


def test_every_rank_gets_the_same_in_order_or_the_same_error(ranks: int) -> None:
    count = ranks if LONG else 2  # each imports all anew
    done(torchrun([SUPPORT / "ranks_alike.py", str(count)], ranks=count))


def test_what_is_shared_out_has_the_bits_of_one_process(
    tmp_path: Path, small_run: Path, ranks: int, forks: Forks
) -> None:
    """All steps but trainings are done again; a net would be trained anew, and differ, if one bit before it did."""
    run = without_what_is_shared_out(small_run, tmp_path / "run")
    config, data = card(small_run)
    forks.done(command(run, data, config), ranks)
    assert contents(run) == contents(small_run)


def card(run: Path) -> tuple[Config, Path]:
    from wingbar.model.folder import read_model
    from wingbar.steps import settings_of

    read = read_model(run).card
    return settings_of(read, run), Path(read.data.source)


def test_weights_are_nearly_those_of_one_process(alone: Path, together: Path) -> None:
    assert 0 < furthest(alone, together) <= TOLERANCE


def test_a_finished_run_goes_on_to_the_bits_of_one_process(
    tmp_path: Path, alone: Path, ranks: int, forks: Forks
) -> None:
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
        (tmp_path / "more" / "train" / "kite").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "more" / "train" / "kite" / f"{number}.png")
    wingbar.train(tmp_path / "more", tmp_path / "one", based_on=alone, quiet=True)
    forks.done(["train", tmp_path / "more", "--out", tmp_path / "many", "--based-on", alone], ranks)
    one, many = (contents(tmp_path / name) for name in ("one", "many"))
    different = {name for name in one if one[name] != many.get(name)}
    assert one.keys() == many.keys() and different == {
        "model/recognizer.json"
    }  # it says where the list of pictures lies


def test_weights_have_moved_by_far_more_than_that(alone: Path) -> None:
    torch.manual_seed(PLAIN.seed)
    start = create(PLAIN.net, 3, None).state_dict()
    end = load_file(alone / "model" / "picture.safetensors")
    assert max(float(np.abs(end[k] - start[k].numpy()).max()) for k in end if "backbone" in k) > 100 * TOLERANCE


def test_evaluation_and_prediction_are_those_of_one_process(
    tmp_path: Path, small_run: Path, birds: Path, ranks: int, forks: Forks, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(small_run, tmp_path / "run"))
    evaluate(run, batch_size=5)
    expected = json.loads((run / "evaluation.json").read_text())
    (run / "evaluation.json").unlink()
    output = forks.done(["evaluate", run, "--batch-size", "5"], ranks)
    assert json.loads((run / "evaluation.json").read_text()) == expected
    assert output.count("test pictures; top-1") == 1
    (tmp_path / "bad.jpg").write_text("no picture")
    line = ["predict", str(run), str(tmp_path / "bad.jpg"), str(birds / "images"), "--json", "--batch-size", "3"]
    with pytest.raises(SystemExit):
        main(line)
    code, out, _ = forks.run(line, ranks)
    assert out == capsys.readouterr().out and out.count("\n") == 49
    assert code  # a picture could not be read


def test_a_rank_that_is_killed_loses_nothing(tmp_path: Path, birds: Path, together: Path, ranks: int) -> None:
    killed_in_its_second_epoch(tmp_path / "run", birds, ranks, PLAIN)
    assert contents(tmp_path / "run") == contents(together)


def killed_in_its_second_epoch(run: Path, birds: Path, ranks: int, config: Config, restarts: int = 1) -> None:
    """A job of which a process is killed, and which is started again where it may be."""
    job = torchrun(["-m", "wingbar", *command(run, birds, config)], ranks=ranks, restarts=restarts)
    kill_when((run / "steps" / "filternet" / "training.safetensors").exists, job, ranks - 1)
    if restarts:
        done(job)
    else:
        assert ended(job)[0]


def test_a_sharded_training_is_nearly_one_process_s(
    tmp_path: Path, birds: Path, alone: Path, ranks: int, forks: Forks
) -> None:
    forks.done(command(tmp_path / "run", birds, SHARDED), ranks)
    assert 0 < furthest(alone, tmp_path / "run") <= TOLERANCE


@pytest.mark.skipif(not LONG, reason="make torture-ranks")
def test_a_sharded_training_goes_on_to_the_same_bits_and_otherwise_to_nearly_the_same(
    tmp_path: Path, birds: Path, alone: Path, ranks: int, forks: Forks
) -> None:
    forks.done(command(tmp_path / "unharmed", birds, SHARDED), ranks)
    killed_in_its_second_epoch(tmp_path / "killed", birds, ranks, SHARDED)
    assert contents(tmp_path / "killed") == contents(tmp_path / "unharmed")
    killed_in_its_second_epoch(tmp_path / "left", birds, ranks, SHARDED, restarts=0)
    shutil.copytree(tmp_path / "left", tmp_path / "whole")
    wingbar.train(birds, tmp_path / "left", SHARDED, quiet=True)
    forks.done(command(tmp_path / "whole", birds, PLAIN), ranks)
    for run in ("left", "whole"):
        assert 0 < furthest(alone, tmp_path / run) <= TOLERANCE


def test_an_error_of_the_users_is_told_once(tmp_path: Path, birds: Path, forks: Forks) -> None:
    """By the first rank, which is late under torchrun here: torchrun ends it as soon as the other has failed."""
    missing = ["train", tmp_path / "nothing", "--out", tmp_path / "run"]
    lines = {
        "no such file": missing,
        "too small for 2 processes": command(tmp_path / "run", birds, PLAIN, "--batch-size", "1"),
        "guide runs in one process": ["guide", tmp_path],
        "Unrecognized options: --classes": ["predict", tmp_path, "--classes"],
    }
    outcomes = [(message, forks.run(line, ranks=2)) for message, line in lines.items()]
    outcomes.append(("no such file", ended(torchrun([SUPPORT / "late.py", *missing], ranks=2))))
    for message, (code, _, err) in outcomes:
        assert code and err.count(message) == 1 and err.count("wingbar: ") <= 1, err
        assert "Traceback" not in err.split("torch/distributed")[0], err


def test_a_job_that_could_not_be_started_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun starts its processes: the second of a machine's two."""
    environment = {"RUN_ID": "1", "MAX_RESTARTS": "3", "USE_AGENT_STORE": "True"}
    for name, value in environment.items():
        monkeypatch.setenv(f"TORCHELASTIC_{name}", value)
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert "the same torchrun command" in stopped(["train", "photos", "--out", "run"])
    with pytest.raises(ConfigError, match="TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1") as raised, opened():
        pass
    assert raised.value.teller == 0


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts, for the long form."""
    if why := "make torture-ranks" if not LONG else why_no_hosts():
        pytest.skip(why)
    with two_hosts() as made:
        yield made


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory, birds: Path, hosts: tuple[Host, Host]) -> Path:
    """The plain run of four processes on one machine."""
    run = tmp_path_factory.mktemp("four") / "run"
    done(torchrun(["-m", "wingbar", *command(run, birds, PLAIN)], ranks=4))
    return run


def started_on(
    hosts: tuple[Host, Host], runs: tuple[Path, Path], data: Path, config: Config
) -> list[subprocess.Popen[str]]:
    """A job of two processes a host, each host with a run folder of its own."""
    lines = [["-m", "wingbar", *command(run, data, config)] for run in runs]
    return [torchrun_on(h, hosts, line, ranks=2, restarts=3) for h, line in zip(hosts, lines, strict=True)]


def test_two_hosts_do_what_one_machine_does(tmp_path: Path, birds: Path, hosts: tuple[Host, Host], four: Path) -> None:
    """And only the first has a run folder."""
    runs = tmp_path / "first", tmp_path / "second"
    for job in started_on(hosts, runs, birds, PLAIN):
        done(job)
    assert contents(runs[0]) == contents(four) and not runs[1].exists()


def test_what_two_hosts_share_out_has_the_bits_of_one_process(
    tmp_path: Path, small_run: Path, hosts: tuple[Host, Host]
) -> None:
    config, data = card(small_run)
    runs = without_what_is_shared_out(small_run, tmp_path / "first"), tmp_path / "second"
    for job in started_on(hosts, runs, data, config):
        done(job)
    assert contents(runs[0]) == contents(small_run) and not runs[1].exists()


@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_that_is_killed_on_either_host_loses_nothing(
    tmp_path: Path, birds: Path, hosts: tuple[Host, Host], four: Path, number: int
) -> None:
    runs = tmp_path / "first", tmp_path / "second"
    jobs = started_on(hosts, runs, birds, PLAIN)
    kill_when((runs[0] / "steps" / "filternet" / "training.safetensors").exists, jobs[number], 2 * number + 1)
    for job in jobs:
        done(job)
    assert contents(runs[0]) == contents(four) and not runs[1].exists()
