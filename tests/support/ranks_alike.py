"""What the methods of `World` promise, asserted by every rank of a job: run by torchrun in tests/test_ranks.py."""

from __future__ import annotations

import sys

import torch

from wingbar.errors import DataError
from wingbar.ranks import World, opened

ITEMS = list("abcdefg")


def raises(world: World, failing: int, work) -> None:
    """Every rank raises the error of the rank ``failing``, which is to tell it."""

    def fail() -> list[int]:
        if world.rank == failing:
            raise DataError(f"of rank {failing}")
        return [world.rank]

    try:
        work(fail)
    except DataError as error:
        assert (str(error), error.teller) == (f"of rank {failing}", failing), (error, error.teller)
    else:
        raise AssertionError(f"rank {world.rank} raised nothing")


def main() -> None:
    with opened() as world:
        assert world.size == int(sys.argv[1]) == world.local_size
        assert world.gather(lambda: world.rank) == list(range(world.size))
        assert world.each(lambda: world.rank) == world.rank
        assert world.first(lambda: f"by {world.rank}") == "by 0"
        for count in range(len(ITEMS) + 1):  # none, fewer than ranks, as many, unequal shares
            items = ITEMS[:count]
            assert world.collect(lambda items=items: iter(world.share(items))) == items
            assert world.map(str.upper, items, lambda results, count: results) == [one.upper() for one in items]
            assert list(world.stream(iter(world.share(items)))) == items
        mean = torch.tensor([float(world.rank), 1.0])
        world.average([mean])
        assert mean.tolist() == [(world.size - 1) / 2, 1.0]
        for failing in range(world.size):
            raises(world, failing, world.gather)
            raises(world, failing, world.each)
            raises(world, failing, world.collect)
            raises(world, failing, lambda fail: list(world.stream(one for _ in range(2) for one in fail())))
        raises(world, 0, world.first)
        assert world.gather(lambda: "still together") == ["still together"] * world.size


if __name__ == "__main__":
    main()
