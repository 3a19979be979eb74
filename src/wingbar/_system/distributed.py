"""The processes (ranks) of one job: how work is divided among them, and how results are gathered in order.

torchrun starts the ranks, and torch.distributed carries their messages. The messages are pickles: the ranks of a job
trust one another, and nobody else may have access to their network. A single process is a `World` of size 1, whose
methods do the work directly. So callers are the same for one process and for many.

The functions that are passed to these methods must not call methods of the world themselves. If one of them raises a
`WingbarError`, every rank raises it, and one rank prints it. Any other error ends its rank; the other ranks then lose
the connection and end, too.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from wingbar.errors import ConfigError, RunError, WingbarError

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = timedelta(hours=6)
"""How long ranks wait for the slowest one. A rank that ends is noticed at once; this limit is for a silent host."""

GUARD = (
    "Where Python starts processes anew (spawn, forkserver: on macOS, on Windows, and from Python 3.14 on), each of "
    'them runs the script again: put what the script does below `if __name__ == "__main__":`, or set workers=0.'
)
"""The remedy for a script without a ``__main__`` guard, which its own child processes run again."""

T = TypeVar("T")
Item = TypeVar("Item")
Watched = Callable[[Iterable[Any], int], Iterable[Any]]
"""Takes results and their count, and yields the results while it reports progress."""


@dataclass(frozen=True)
class World:
    """The ranks of a job, as one of them sees them: its own number and how many there are."""

    rank: int = 0
    size: int = 1
    local_size: int = 1
    """Ranks on this machine."""

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items that this rank works on: every ``size``-th one."""
        return items[self.rank :: self.size]

    def gather(self, work: Callable[[], T]) -> list[T]:
        """Call ``work`` on every rank; returns the results of all ranks, on every rank."""
        return [work()] if self.size == 1 else self._gathered(work)

    def each(self, work: Callable[[], T]) -> T:
        """Call ``work`` on every rank; returns this rank's result once all ranks have succeeded."""
        results: list[T] = []
        self.gather(lambda: results.append(work()))
        return results[0]

    def first(self, work: Callable[[], T]) -> T:
        """Call ``work`` on the first rank only; returns its result on every rank."""
        if self.size == 1:
            return work()
        import torch.distributed as dist

        outcomes: list[Any] = [self._outcome(work) if self.rank == 0 else None]
        dist.broadcast_object_list(outcomes, src=0)
        return _values(outcomes)[0]

    def collect(self, work: Callable[[], Iterable[T]]) -> list[T]:
        """Call ``work`` on every rank, which yields a result for each item of its share.

        Returns the results of all ranks, in the order of all items, on every rank.
        """
        return _in_turn(self.gather(lambda: list(work())))

    def map(self, function: Callable[[Item], T], items: Sequence[Item], watched: Watched) -> list[T]:
        """Apply ``function`` to every item; returns all results in order. Each rank does its share in threads.

        ``watched`` reports the progress.
        """
        share = self.share(items)
        threads = None if self.size == 1 else max((os.cpu_count() or 1) // self.local_size, 1)

        def work() -> list[T]:
            with ThreadPoolExecutor(threads) as pool:
                return list(watched(pool.map(function, share), len(share)))

        return self.collect(work)

    def stream(self, share: Iterable[T]) -> Iterator[T]:
        """Yield all items in order, like `collect`, but as they come: one item of each rank is in memory at a time."""
        remaining = iter(share)
        if self.size == 1:
            yield from remaining
            return
        while came := _in_turn(self._gathered(lambda: list(islice(remaining, 1)))):
            yield from came

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks."""
        if self.size == 1:
            return
        import torch.distributed as dist

        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor /= self.size

    def _gathered(self, work: Callable[[], T]) -> list[T]:
        import torch.distributed as dist

        outcomes: list[Any] = [None] * self.size
        dist.all_gather_object(outcomes, self._outcome(work))
        return _values(outcomes)

    def _outcome(self, work: Callable[[], T]) -> T | Failed:
        try:
            return work()
        except WingbarError as error:
            error.teller = self.rank if error.teller is None else error.teller
            return Failed(error)


@dataclass(frozen=True)
class Failed:
    """What a rank sends instead of a result when its work raised an error."""

    error: WingbarError


ALONE = World()


@contextmanager
def opened() -> Iterator[World]:
    """Join the job that torchrun started, or make a `World` of this process alone.

    Raises RunError when another rank has ended, and in a loader process that runs its script again. Raises ConfigError
    for a job that torchrun would restart wrongly.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing.spawn itself asks
        raise RunError(f"This is a process that loads pictures. {GUARD}")
    if (size := number_of_ranks()) == 1:
        yield ALONE
        return
    _refuse_stale_addresses()
    import torch
    import torch.distributed as dist

    local = int(os.environ["LOCAL_RANK"])
    if cuda := torch.cuda.is_available():
        torch.cuda.set_device(local % torch.cuda.device_count())
    if ours := not dist.is_initialized():
        dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), size, int(os.environ["LOCAL_WORLD_SIZE"]))
    except WingbarError:  # of all ranks
        if ours:
            leave()
        raise
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        raise RunError(
            f"rank {this_rank()}: lost another process of this job ({str(error).splitlines()[0]})"
        ) from error
    if ours:
        leave()


def leave() -> None:
    """Destroy all process groups of this process, and wait until their threads have ended.

    A thread of gloo lets go of a collective's tensors a moment after the collective is done, and needs the Python
    interpreter for that. If the interpreter ends in that moment, the whole process aborts ("terminate called without
    an active exception"). Only the end of a group waits for its threads, and ``destroy_process_group`` does not end a
    group that something else holds: trainings do in reference cycles, and torch's own caches hold device meshes, which
    hold their groups (seen with torch 2.14).
    """
    import torch.distributed as dist
    from torch.distributed.device_mesh import DeviceMesh

    gc.collect()
    meshes = [candidate for candidate in gc.get_objects() if type(candidate) is DeviceMesh]
    dist.destroy_process_group()
    for mesh in meshes:
        getattr(mesh, "_pg_registry", {}).clear()


def _refuse_stale_addresses() -> None:
    """Raise ConfigError where restarted ranks would wait for ever, because they connect to the addresses of dead ranks.

    This happens where torchrun keeps one store for all its attempts, as it does by default (pytorch/pytorch#135712;
    observed with torch 2.14).
    """
    if os.environ["TORCHELASTIC_MAX_RESTARTS"] != "0" and os.environ["TORCHELASTIC_USE_AGENT_STORE"] == "True":
        error = ConfigError(
            "torchrun --max-restarts needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment, or processes that "
            "are started again do not find one another."
        )
        error.teller = first_rank_here()
        raise error


def number_of_ranks() -> int:
    """The number of processes that torchrun started, this one included; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def this_rank() -> int:
    """The number of this process among those that torchrun started; 0 without torchrun."""
    return int(os.environ["RANK"]) if number_of_ranks() > 1 else 0


def first_rank_here() -> int:
    """The lowest rank on this machine."""
    return this_rank() - int(os.environ["LOCAL_RANK"]) if number_of_ranks() > 1 else 0


def _values(outcomes: Sequence[T | Failed]) -> list[T]:
    values: list[T] = []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            raise outcome.error
        values.append(outcome)
    return values


def _in_turn(shares: Sequence[Sequence[T]]) -> list[T]:
    """The shares of `World.share`, merged into the original order."""
    return [share[turn] for turn in range(len(shares[0])) for share in shares if turn < len(share)]
