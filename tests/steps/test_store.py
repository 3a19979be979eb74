"""The store: steps are kept whole, used while true, and made anew when changed or damaged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from wingbar._system.locks import locked
from wingbar.errors import RunError
from wingbar.steps.store import Ragged, StepResult, Store


@dataclass(frozen=True, kw_only=True, eq=False)
class Found(StepResult):
    """A record with a field of every kind."""

    a: np.ndarray
    boxes: Ragged
    tensors: Mapping[str, np.ndarray]
    b: list
    absent: np.ndarray | None = None


RAGGED = [np.zeros((2, 4), np.int32), np.zeros((0, 4), np.int32), np.ones((3, 4), np.int32)]


def record() -> Found:
    return Found(a=np.arange(6).reshape(2, 3), boxes=Ragged.of(RAGGED), tensors={"head.bias": np.ones(2)}, b=[1, "two"])


class Counter:
    """Computes a result and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Found:
        self.calls += 1
        return record()


def test_a_kept_step_is_not_computed_again(tmp_path: Path) -> None:
    compute = Counter()
    first = Store(tmp_path).step("one", Found, {"x": 1}, [], compute)
    again = Store(tmp_path).step("one", Found, {"x": 1}, [], compute)
    assert compute.calls == 1
    assert again.key == first.key and again.b == first.b
    np.testing.assert_array_equal(again.a, first.a)


def test_changed_settings_and_changed_inputs_redo_it(tmp_path: Path) -> None:
    compute, store = Counter(), Store(tmp_path)
    store.step("one", Found, {"x": 1}, [], compute)
    store.step("one", Found, {"x": 2}, [], compute)
    store.step("one", Found, {"x": 2}, [StepResult(key="other")], compute)
    assert compute.calls == 3


def test_redo_from_redoes_that_step_and_all_after_it(tmp_path: Path) -> None:
    computes = [Counter() for _ in range(3)]
    for store in (Store(tmp_path), Store(tmp_path, redo_from="step1")):
        for number, compute in enumerate(computes):
            store.step(f"step{number}", Found, {}, [], compute)
    assert [compute.calls for compute in computes] == [1, 2, 2]


@pytest.mark.parametrize("name", ["result.json", "result.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "empty"])
def test_a_damaged_result_is_noticed_and_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    compute = Counter()
    Store(tmp_path).step("one", Found, {}, [], compute)
    path = tmp_path / "steps" / "one" / name
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        content[len(content) // 2] ^= 0x10
        path.write_bytes({"cut": content[: len(content) // 2], "flip": content, "empty": b""}[damage])
    result = Store(tmp_path).step("one", Found, {}, [], compute)
    np.testing.assert_array_equal(result.a, np.arange(6).reshape(2, 3))
    assert result.b == [1, "two"]
    assert compute.calls == 2 or (name, damage) == ("result.json", "flip")  # white space may be hit


def test_a_step_that_fails_leaves_nothing_that_counts(tmp_path: Path) -> None:
    def fail() -> Found:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Store(tmp_path).step("one", Found, {}, [], fail)
    compute = Counter()
    Store(tmp_path).step("one", Found, {}, [], compute)
    assert compute.calls == 1


def test_a_training_under_way_survives_only_for_the_same_settings(tmp_path: Path) -> None:
    def interrupted() -> Found:
        state().write_bytes(b"half way")
        raise KeyboardInterrupt

    def look() -> Found:
        seen.append(state().exists())
        return record()

    seen: list[bool] = []
    for settings in (1, 2):
        store = Store(tmp_path / str(settings))

        def state(store: Store = store) -> Path:
            return store.path("net") / "training.safetensors"

        with pytest.raises(KeyboardInterrupt):
            store.step("net", Found, 1, [], interrupted)
        store.step("net", Found, settings, [], look)
        assert not state().exists()
    assert seen == [True, False]


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wingbar._system.locks import locked\n"
        f"with locked(Path({str(tmp_path)!r})):\n    print('in', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdin is not None
    assert other.stdout.readline() == "in\n"
    with pytest.raises(RunError, match=f"in use by process {other.pid}"), locked(tmp_path):
        pass
    other.stdin.close()
    other.wait()
    other.stdout.close()
    with locked(tmp_path):
        pass


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="choose another --out"), locked(tmp_path / "run"):
        pass


def test_every_kind_of_field_comes_back(tmp_path: Path) -> None:
    Store(tmp_path).step("one", Found, {}, [], record)
    back = Store(tmp_path).step("one", Found, {}, [], Counter())
    assert len(back.boxes) == len(RAGGED)
    for one, other in zip(RAGGED, back.boxes, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(back.tensors["head.bias"], np.ones(2))
    assert back.absent is None and back.b == [1, "two"]


def test_ragged_arrays_of_no_pictures_are_none() -> None:
    assert len(Ragged.of([])) == 0 and list(Ragged.of([])) == []
