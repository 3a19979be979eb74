"""A batch in portions where memory does not suffice: what a step needs is known beforehand, and is less in portions."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
import torch
from bounds import in_a_child

from wingbar._system import memory
from wingbar._system.memory import free_memory
from wingbar.learning.portions import ROOM, Portions, needs
from wingbar.nets import create

SIZE, BATCH = 128, 48
STEPS = """
import os, re, sys, torch
from wingbar.learning.portions import Portions, needs
from wingbar.nets import create

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10

def steps(count):
    net = create("res2net_nano", 3).to(memory_format=torch.channels_last)
    estimate, squares = needs(net, size), torch.zeros(batch, 3, size, size)
    optimizer, before = torch.optim.AdamW(net.parameters()), peak()

    def descend(squares):
        loss = net(squares).sum()
        loss.backward()
        return loss.detach()

    for _ in range(2):
        Portions(True, print, count).add_up([squares], descend, optimizer.zero_grad)
        optimizer.step()
    print(peak() - before, estimate[0] + batch * estimate[1], flush=True)

size, batch, *counts = map(int, sys.argv[1:])
for count in counts:  # each in a process of its own, which knows its own peak only
    if (child := os.fork()) == 0:
        steps(count)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_what_a_step_needs_is_known_beforehand_and_is_less_in_portions() -> None:
    """Bytes that two steps needed, and that one was estimated to need whole."""
    lines = in_a_child(STEPS, SIZE, BATCH, 1, 4)[0].splitlines()
    (whole, estimate), (in_portions, _) = (map(int, line.split()) for line in lines)
    assert 0.6 * estimate < whole < 1.15 * estimate
    assert in_portions < 0.5 * whole


@pytest.mark.parametrize(("share", "count"), [(1.01, 1), (0.99, 2), (0.3, 4), (0.0, 32)])
def test_batches_are_divided_until_a_step_fits(share: float, count: int) -> None:
    net, collected = create("res2net_nano", 3), []
    weights, picture = needs(net, 64)
    portions = Portions(True, collected.append)
    portions.fit_into(round((weights + share * 32 * picture) / ROOM), net, 64, batch_size=32)
    assert portions.count == count and len(collected) == (count > 1)
    assert all("GB are free: each batch is taken in" in line for line in collected)


def test_what_cannot_be_divided_is_told() -> None:
    collected: list[str] = []
    portions = Portions(False, collected.append)
    portions.fit_into(1 << 20, create("res2net_nano", 3), 64, batch_size=32)
    assert portions.count == 1 and "lower --batch-size or --size" in collected[0]


def test_an_estimate_leaves_the_net_as_it_was() -> None:
    net = create("mobilenetv2_050", 3).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    needs(net, 64)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


GROUPS = {
    "2": ("0::/jobs/ours", "jobs/ours", ("memory.max", "memory.current"), "inactive_file"),
    "1": (
        "9:name=systemd:/\n8:memory:/jobs/ours",
        "memory/jobs/ours",
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        "total_inactive_file",
    ),
}
"""Version -> the process's line, its group's folder, the files of limit and usage, and what can be dropped."""


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="free memory is read from Linux's /proc")
@pytest.mark.parametrize("version", GROUPS)
def test_free_memory_is_the_machines_or_the_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    line, folder, files, droppable = GROUPS[version]
    monkeypatch.setattr(memory, "CONTROL", tmp_path)
    monkeypatch.setattr(memory, "OWN_GROUP", tmp_path / "cgroup")
    free = free_memory()
    assert free is not None and os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") // 2 < free
    (tmp_path / "cgroup").write_text(f"{line}\n")
    assert free_memory() == pytest.approx(free, rel=0.3)
    for group, limit in ((tmp_path / folder, "max"), ((tmp_path / folder).parent, 3_000_000)):
        group.mkdir(parents=True, exist_ok=True)
        for file, value in zip(files, (limit, 1_000_000), strict=True):
            (group / file).write_text(f"{value}\n")
        (group / "memory.stat").write_text(f"anon 5\n{droppable} 200000\nactive_file 7\n")
    assert free_memory() == 2_200_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_what_was_freed_and_kept_counts_as_free() -> None:
    code = """
from wingbar._system import memory
from wingbar._system.memory import free_memory, keep_freed_memory
keep_freed_memory()
def held():
    return int(open("/proc/self/status").read().partition("VmRSS:")[2].split()[0]) >> 10
b"x" * (1 << 28)
kept = held()
free_memory()
print(kept - held())
"""
    assert int(in_a_child(code)[0]) > 200
