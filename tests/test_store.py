"""The store: steps are kept whole, used while true, and made anew when changed or damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wingbar.errors import RunError
from wingbar.store import Result, Store, locked, pack, unpack


class Counter:
    """Computes a result and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Result:
        self.calls += 1
        return Result({"a": np.arange(6).reshape(2, 3)}, {"b": [1, "two"]})


def test_a_kept_step_is_not_computed_again(tmp_path: Path) -> None:
    compute = Counter()
    first = Store(tmp_path).step("one", {"x": 1}, [], compute)
    again = Store(tmp_path).step("one", {"x": 1}, [], compute)
    assert compute.calls == 1
    assert again.key == first.key and again.info == first.info
    np.testing.assert_array_equal(again.arrays["a"], first.arrays["a"])


def test_changed_settings_and_changed_inputs_redo_it(tmp_path: Path) -> None:
    compute, store = Counter(), Store(tmp_path)
    store.step("one", {"x": 1}, [], compute)
    store.step("one", {"x": 2}, [], compute)
    store.step("one", {"x": 2}, [Result(key="other")], compute)
    assert compute.calls == 3


def test_redo_from_redoes_that_step_and_all_after_it(tmp_path: Path) -> None:
    computes = [Counter() for _ in range(3)]
    for store in (Store(tmp_path), Store(tmp_path, redo_from="step1")):
        for number, compute in enumerate(computes):
            store.step(f"step{number}", {}, [], compute)
    assert [compute.calls for compute in computes] == [1, 2, 2]


@pytest.mark.parametrize("name", ["result.json", "result.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "empty"])
def test_a_damaged_result_is_noticed_and_made_anew(tmp_path: Path, name: str, damage: str) -> None:
    compute = Counter()
    Store(tmp_path).step("one", {}, [], compute)
    path = tmp_path / "steps" / "one" / name
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        content[len(content) // 2] ^= 0x10
        path.write_bytes({"cut": content[: len(content) // 2], "flip": content, "empty": b""}[damage])
    result = Store(tmp_path).step("one", {}, [], compute)
    np.testing.assert_array_equal(result.arrays["a"], np.arange(6).reshape(2, 3))
    assert result.info == {"b": [1, "two"]}
    assert compute.calls == 2 or (name, damage) == ("result.json", "flip")  # white space may be hit


def test_a_step_that_fails_leaves_nothing_that_counts(tmp_path: Path) -> None:
    def fail() -> Result:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Store(tmp_path).step("one", {}, [], fail)
    compute = Counter()
    Store(tmp_path).step("one", {}, [], compute)
    assert compute.calls == 1


def test_a_training_under_way_survives_only_for_the_same_settings(tmp_path: Path) -> None:
    def interrupted() -> Result:
        state().write_bytes(b"half way")
        raise KeyboardInterrupt

    def look() -> Result:
        seen.append(state().exists())
        return Result()

    seen: list[bool] = []
    for settings in (1, 2):
        store = Store(tmp_path / str(settings))

        def state(store: Store = store) -> Path:
            return store.path("net") / "training.safetensors"

        with pytest.raises(KeyboardInterrupt):
            store.step("net", 1, [], interrupted)
        store.step("net", settings, [], look)
        assert not state().exists()
    assert seen == [True, False]


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wingbar.store import locked\n"
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


def test_ragged_arrays_come_back() -> None:
    ragged = [np.zeros((2, 4), np.int32), np.zeros((0, 4), np.int32), np.ones((3, 4), np.int32)]
    for one, back in zip(ragged, unpack(pack(ragged)), strict=True):
        np.testing.assert_array_equal(one, back)
