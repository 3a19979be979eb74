"""Kills a small run again and again, takes it up each time, and holds the end against an uninterrupted run's.

    python tests/support/killing.py --events 40 --moments 30 --interrupts 20      (what `make torture` does)

Every life of the run is a process forked from this one, which has imported all that a run needs. A life ends by
SIGKILL at an event chosen beforehand (a file opened, renamed or removed: Python's audit events tell, so each step,
each training and each writing has its own) or at a moment drawn at random; or by SIGINT at an event, and then it has
to say how to go on. After each end every file of the run has to be whole; when it has lived to its own end, model,
evaluation and arrays have to be an uninterrupted run's to the bit.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import mmap
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import safetensors.numpy

from wingbar._system.files import read_record, write_text
from wingbar.cli import main
from wingbar.config import Config, to_toml
from wingbar.data.synthetic import write_dataset
from wingbar.evaluation.evaluate import evaluate
from wingbar.evaluation.tables import render
from wingbar.opam.filtering import FilterSettings
from wingbar.opam.proposals import ProposalSettings
from wingbar.pipeline import OPAM_STEPS
from wingbar.training import train

DRAWN: dict[str, Any] = {"classes": 3, "train": 8, "test": 2, "size": (96, 72)}
SETTINGS = Config(
    method="opam",
    net="res2net_nano",
    weights="none",
    size=48,
    epochs=2,
    follow_epochs=2,
    batch_size=8,
    workers=0,
    filtering=FilterSettings(threshold=0.2, cap=3),
    proposals=ProposalSettings(limit=100),
)
STOPPED = 130
ACTIVITIES = ("computing", "training", "writing")
PLACES = ("start", *OPAM_STEPS, "model", "evaluation")

Place = tuple[str, str]
"""A step, and what it is at: one of `ACTIVITIES`."""


class Whereabouts:
    """An audit hook that knows where a run is by the files it touches, notes it on a board, and may end it there."""

    def __init__(
        self, run: Path, board: mmap.mmap, ends: Sequence[tuple[Place, int]] = (), by: signal.Signals = signal.SIGKILL
    ) -> None:
        self.run, self.board, self.ends, self.by = f"{run}/", board, set(ends), by
        self.step, self.training, self.seen, self.ended = "start", False, Counter[Place](), False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove", "os.mkdir") or self.ended:
            return
        path = arguments[1] if event == "os.rename" else arguments[0]
        if not isinstance(path, (str, Path)):
            return
        place = self.place(str(path), event)
        self.seen[place] += 1
        self.ended = (place, self.seen[place]) in self.ends
        note(self.board, [*place, self.ended])
        if self.ended:
            os.kill(os.getpid(), self.by)

    def place(self, path: str, event: str) -> Place:
        """Where the run is once it touches this file."""
        inside = path.removeprefix(self.run) if path.startswith(self.run) else ""
        folder, _, rest = inside.partition("/")
        if folder == "steps" and rest:
            step = rest.partition("/")[0]
            self.training = self.training and step == self.step and "result." not in rest
            self.step = step
        elif folder == "tensorboard":
            self.training = True
        elif folder.startswith(("model", "config.toml")):
            self.step, self.training = "model", False
        elif folder.startswith(("test-split-read.log", "evaluation.json")):
            self.step = "evaluation"
        if inside and (event != "open" or ".partial" in inside):
            return self.step, "writing"
        return self.step, "training" if self.training else "computing"


def rank(place: Place) -> tuple[int, int]:
    """The order in which a run comes by its places."""
    return PLACES.index(place[0]), ACTIVITIES.index(place[1])


def note(board: mmap.mmap, value: Any) -> None:
    """Put a JSON value on the board, which parent and child share."""
    board[:] = json.dumps(value).encode().ljust(len(board), b" ")


def forked(work: Callable[[], object]) -> int:
    """The id of a child that does the work and ends as it does: with 0, its own exit code, or a traceback and 1."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except SystemExit as ended:
            os._exit(int(ended.code or 0))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return child


class Torture:
    """One data set, one uninterrupted run on it, and the ends that other runs have met so far."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.birds = write_dataset(folder / "birds", **DRAWN)
        write_text(folder / "settings.toml", to_toml(SETTINGS))
        self.board = mmap.mmap(-1, 4096)
        gc.freeze()  # what the lives have in common is not visited, and so not copied, by each of their collections
        self.kills: list[Place] = []
        self.interrupts: list[Place] = []
        started = time.monotonic()
        self.seen = self._count(folder / "whole")
        self.seconds = time.monotonic() - started
        self.expected = contents(folder / "whole")

    def _count(self, run: Path) -> Counter[Place]:
        """Events by place of an uninterrupted run."""

        def work() -> None:
            whereabouts = Whereabouts(run, self.board)
            self._live(run, whereabouts, 0)
            note(self.board, [[*place, count] for place, count in whereabouts.seen.items()])

        assert os.waitpid(forked(work), 0)[1] == 0, "the uninterrupted run failed"
        return Counter({(step, activity): count for step, activity, count in json.loads(self.board[:])})

    def _live(self, run: Path, whereabouts: Whereabouts, workers: int) -> None:
        sys.addaudithook(whereabouts)
        train(self.birds, run, SETTINGS, quiet=True, workers=workers)
        evaluate(run)

    def _command(self, run: Path, whereabouts: Whereabouts) -> None:
        os.dup2(os.open(self.folder / "told", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), sys.stderr.fileno())
        # A shell's background jobs are started deaf to SIGINT, and their children inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.addaudithook(whereabouts)
        main(["train", str(self.birds), "--out", str(run), "--config", str(self.folder / "settings.toml"), "--quiet"])

    def _drawn(self, count: int, places: Sequence[Place]) -> list[tuple[Place, int]]:
        """As many events, each in a place of its own, spread over all."""
        order = sorted(places, key=rank)
        spread = sorted({round(i * (len(order) - 1) / max(count - 1, 1)) for i in range(count)})
        return [(order[i], self.random.randint(1, self.seen[order[i]])) for i in spread]

    def at_events(self, count: int) -> None:
        """Runs killed at ``count`` events in all; what a later life does not meet again is left to the next run."""
        while len(self.kills) < count:
            missing = [place for place in self.seen if place not in self.kills] or list(self.seen)
            self._events_of_one_run(self.folder / f"events{len(self.kills)}", count - len(self.kills), missing)

    def _events_of_one_run(self, run: Path, count: int, places: Sequence[Place]) -> None:
        ahead = self._drawn(min(count, len(places)), places)

        def live() -> None:
            self._live(run, Whereabouts(run, self.board, ahead), 0)

        while self._ended(run, live, self.kills):
            ahead = [(place, number) for place, number in ahead if rank(place) > rank(self.kills[-1])]
        self._compare(run)

    def at_interrupts(self, count: int) -> None:
        """One `wingbar train`, sent SIGINT at up to ``count`` events; each time it says how to go on."""
        run, ahead = self.folder / "interrupts", self._drawn(count, [p for p in self.seen if p[0] != "evaluation"])

        def command() -> None:
            self._command(run, Whereabouts(run, self.board, ahead, signal.SIGINT))

        while self._ended(run, command, self.interrupts):
            message = (self.folder / "told").read_text()
            assert f"Go on with: wingbar train {self.birds} --out {run}" in message, message
            ahead = [(place, number) for place, number in ahead if rank(place) > rank(self.interrupts[-1])]
        assert os.waitpid(forked(lambda: evaluate(run)), 0)[1] == 0
        self._compare(run)

    def at_moments(self, count: int) -> None:
        """Runs with and without loader processes, killed ``count`` times in all, at moments drawn at random."""
        wanted, number = len(self.kills) + count, 0
        while len(self.kills) < wanted:
            run, number = self.folder / f"moments{number}", number + 1
            while self._moment(run, wanted):
                pass
            self._compare(run)

    def _moment(self, run: Path, wanted: int) -> bool:
        def live() -> None:
            self._live(run, Whereabouts(run, self.board), len(self.kills) % 2)

        after = self.random.uniform(0, self.seconds / 2) if len(self.kills) < wanted else None
        return self._ended(run, live, self.kills, after)

    def _ended(self, run: Path, life: Callable[[], None], ends: list[Place], after: float | None = None) -> bool:
        """Whether a life was ended by a signal, by itself or ``after`` seconds: then the run has to be whole."""
        note(self.board, ["start", "computing", False])
        child = forked(life)
        if after is not None:
            kill_after(child, after)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        step, activity, ended = json.loads(self.board[:])
        if code == 0 and not ended:
            return False
        assert code in (-signal.SIGKILL, STOPPED), f"ended with {code} in {step} ({activity})"
        ends.append((step, activity))
        check_whole(run)
        return True

    def _compare(self, run: Path) -> None:
        result = contents(run)
        different = sorted(
            name for name in result.keys() | self.expected.keys() if result.get(name) != self.expected.get(name)
        )
        assert not different, f"unlike an uninterrupted run's: {different}"

    def table(self) -> str:
        """Kills by step and by what it was at, and interrupts by step."""
        kills, interrupts = Counter(self.kills), Counter(step for step, _ in self.interrupts)
        rows = [
            [step, *(str(kills[step, activity] or "") for activity in ACTIVITIES), str(interrupts[step] or "")]
            for step in PLACES
        ]
        return render(["step", *(f"killed {activity}" for activity in ACTIVITIES), "interrupted"], rows)


def kill_after(child: int, seconds: float) -> None:
    """Kill the child then, unless it has ended by itself before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)


def check_whole(run: Path) -> None:
    """Every file that has its final name has its whole content. Raises what reading one raises."""
    for path in run.rglob("*"):
        if ".partial" in str(path.relative_to(run)):
            continue
        if path.suffix == ".json":
            read_record(path)
        elif path.suffix == ".safetensors":
            safetensors.numpy.load(path.read_bytes())


def contents(run: Path) -> dict[str, str]:
    """Checksums of all that a run's answers come from; times and the place of the lock are left out."""
    kept = [
        *run.glob("model/*"),
        *run.glob("steps/*/result.safetensors"),
        *run.glob("evaluation.json"),
        *run.rglob("*.partial"),
    ]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def torture() -> None:
    """Torture, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=40, help="kills at events")
    parser.add_argument("--moments", type=int, default=30, help="kills at random moments")
    parser.add_argument("--interrupts", type=int, default=20, help="interrupts at events")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Torture(Path(folder), chosen.seed)
        run.at_events(chosen.events)
        run.at_moments(chosen.moments)
        if chosen.interrupts:
            run.at_interrupts(chosen.interrupts)
        print(run.table())
        print(
            f"\n{len(run.kills)} kills and {len(run.interrupts)} interrupts survived, seed {chosen.seed}: model, "
            f"evaluation and arrays are those of an uninterrupted run ({run.seconds:.1f} s), bit for bit"
        )


if __name__ == "__main__":
    torture()
