"""torchrun on this machine, and on two hosts made of network namespaces; and the process ids of its ranks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 600.0
"""Seconds that anything may take, on a machine however busy."""


@dataclass(frozen=True)
class Host:
    """A network namespace and its address in the network of both."""

    name: str
    address: str
    link: str


def torchrun(command: Sequence[str | Path], *, ranks: int, restarts: int = 0) -> subprocess.Popen[str]:
    """A job of this many processes on this machine."""
    return _started([*_torchrun(ranks, restarts), "--standalone", *command])


def torchrun_on(
    host: Host, hosts: Sequence[Host], command: Sequence[str | Path], *, ranks: int, restarts: int = 0
) -> subprocess.Popen[str]:
    """The part of a job that is one host's, with ``ranks`` processes on each of ``hosts``."""
    meeting = [f"--nnodes={len(hosts)}", "--rdzv-backend=c10d", f"--rdzv-endpoint={hosts[0].address}:29400"]
    # Both namespaces have this machine's name, so by that no host knows itself.
    of_host = [f"--local-addr={host.address}", "--rdzv-id=tried", f"--rdzv-conf=is_host={int(host is hosts[0])}"]
    inside = ["ip", "netns", "exec", host.name]
    return _started([*inside, *_torchrun(ranks, restarts), *meeting, *of_host, *command], GLOO_SOCKET_IFNAME=host.link)


def _torchrun(ranks: int, restarts: int) -> list[str]:
    return [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}", f"--max-restarts={restarts}"]


def _started(line: Sequence[str | Path], **more: str) -> subprocess.Popen[str]:
    alone = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
    environment = {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", **more}
    return subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**alone, **environment}
    )


def ended(job: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a job."""
    try:
        out, err = job.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        job.send_signal(signal.SIGTERM)  # torchrun ends its ranks
        raise
    return job.returncode, out, err


def done(job: subprocess.Popen[str]) -> str:
    """Standard output of a job that ends well."""
    code, out, err = ended(job)
    assert code == 0, err
    return out


def rank_ids(job: subprocess.Popen[str]) -> dict[int, int]:
    """Rank -> process id, of the ranks that a torchrun has at this moment."""
    ids = {}
    for child in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split():
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        ids |= {int(word.removeprefix(b"RANK=")): int(child) for word in variables if word.startswith(b"RANK=")}
    return ids


def kill_when(moment: Callable[[], bool], job: subprocess.Popen[str], rank: int) -> None:
    """SIGKILL to a rank as soon as the moment has come."""
    end = time.monotonic() + PATIENCE
    while not moment():
        assert job.poll() is None, f"the job ended before: {ended(job)}"
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(rank_ids(job)[rank], signal.SIGKILL)


def why_no_hosts() -> str:
    """Why two hosts cannot be made here; empty where they can."""
    if shutil.which("ip") is None:
        return "two hosts need the `ip` command"
    tried = subprocess.run(["ip", "netns", "add", "wingbar-tried"], capture_output=True, text=True)
    if tried.returncode:
        return f"two hosts need network namespaces: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", "wingbar-tried"], check=True)
    return ""


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Two network namespaces with a cable between them and no other way out."""
    hosts = Host("wingbar-1", "10.213.7.1", "wingbar-v1"), Host("wingbar-2", "10.213.7.2", "wingbar-v2")
    try:
        for host in hosts:
            _ip("netns", "add", host.name)
        _ip("link", "add", hosts[0].link, "type", "veth", "peer", "name", hosts[1].link)
        for host in hosts:
            _ip("link", "set", host.link, "netns", host.name)
            _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", host.link)
            for link in (host.link, "lo"):
                _ip("-n", host.name, "link", "set", link, "up")
        yield hosts
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "delete", host.name], capture_output=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
