"""The processes of one job, its ranks: who does which share, and how the shares come together again, in order.

torchrun starts the ranks, torch.distributed carries what they tell one another (as pickles: the ranks of a job trust
one another, and their network has to be theirs alone). One process is a `World` of itself, where every method does the
plain thing; so there is one flow, and nobody asks how many there are.

What the methods are given to do must not use the world itself. An error of a user's in it (`WingbarError`) is
raised by every rank, and printed by one. Any other error ends its rank; the rest lose the connection and end too.
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
"""How long ranks wait for the slowest. One that ends is noticed at once: this is for a host that falls silent."""

GUARD = (
    "Where Python starts processes anew (spawn, forkserver: on macOS, on Windows, and from Python 3.14 on), each of "
    'them runs the script again: put what the script does below `if __name__ == "__main__":`, or set workers=0.'
)
"""The remedy for a script that starts processes while it is itself being run by one."""

T = TypeVar("T")
Item = TypeVar("Item")
Watched = Callable[[Iterable[Any], int], Iterable[Any]]
"""Yields results as they come, and takes how many there will be."""


@dataclass(frozen=True)
class World:
    """The ranks of a job, seen from one of them."""

    rank: int = 0
    size: int = 1
    local_size: int = 1
    """Ranks on this machine."""

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This rank's part of what is to be done: every ``size``-th item."""
        return items[self.rank :: self.size]

    def gather(self, work: Callable[[], T]) -> list[T]:
        """What each rank's ``work`` gives, to all ranks."""
        return [work()] if self.size == 1 else self._gathered(work)

    def each(self, work: Callable[[], T]) -> T:
        """This rank's own ``work``, once no rank's has failed."""
        results: list[T] = []
        self.gather(lambda: results.append(work()))
        return results[0]

    def first(self, work: Callable[[], T]) -> T:
        """What ``work`` gives on the first rank, which alone does it, to all ranks."""
        if self.size == 1:
            return work()
        import torch.distributed as dist

        outcomes: list[Any] = [self._outcome(work) if self.rank == 0 else None]
        dist.broadcast_object_list(outcomes, src=0)
        return _values(outcomes)[0]

    def collect(self, work: Callable[[], Iterable[T]]) -> list[T]:
        """What ``work`` gives for each item of this rank's share, in the order of all items, to all ranks."""
        return _in_turn(self.gather(lambda: list(work())))

    def map(self, function: Callable[[Item], T], items: Sequence[Item], watched: Watched) -> list[T]:
        """``function`` of every item, in order, each rank doing its share, ``watched``, in threads."""
        share = self.share(items)
        threads = None if self.size == 1 else max((os.cpu_count() or 1) // self.local_size, 1)

        def work() -> list[T]:
            with ThreadPoolExecutor(threads) as pool:
                return list(watched(pool.map(function, share), len(share)))

        return self.collect(work)

    def stream(self, share: Iterable[T]) -> Iterator[T]:
        """As `collect`, but each item is handed on as soon as every rank has its next: one a rank in memory."""
        remaining = iter(share)
        if self.size == 1:
            yield from remaining
            return
        while came := _in_turn(self._gathered(lambda: list(islice(remaining, 1)))):
            yield from came

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over the ranks into each tensor."""
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
    """What a rank sends in place of a result."""

    error: WingbarError


ALONE = World()


@contextmanager
def opened() -> Iterator[World]:
    """The job that this process belongs to: torchrun's, or of this process alone.

    Raises RunError when another rank has gone, or in a loader process that runs its script again; ConfigError for a job
    that could not be started again.
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
    """Raise ConfigError where ranks started again would meet at the addresses of the dead ones, and wait for ever.

    So they do where torchrun keeps one store for all its attempts, as it does by default (pytorch/pytorch#135712;
    seen with torch 2.14).
    """
    if os.environ["TORCHELASTIC_MAX_RESTARTS"] != "0" and os.environ["TORCHELASTIC_USE_AGENT_STORE"] == "True":
        error = ConfigError(
            "torchrun --max-restarts needs TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment, or processes that "
            "are started again do not find one another."
        )
        error.teller = first_rank_here()
        raise error


def number_of_ranks() -> int:
    """How many processes torchrun started this one among; 1 without torchrun."""
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
    """What `World.share` dealt out, in the order in which it lay before."""
    return [share[turn] for turn in range(len(shares[0])) for share in shares if turn < len(share)]
