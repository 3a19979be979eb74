"""What `World` and sharding promise, asserted by every rank of a job: tests/system/test_distributed.py starts it."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from wingbar._system.distributed import World, opened
from wingbar.config import Config
from wingbar.errors import ConfigError, DataError
from wingbar.learning.hardware import open_hardware
from wingbar.learning.learner import Learner, learner_of
from wingbar.learning.recipe import Recipe
from wingbar.nets import create

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


def learner(world: World, strategy: str) -> Learner:
    """A small net that is ready to learn, the same on every rank."""
    torch.manual_seed(0)
    net = create("res2net_nano", 3)
    return learner_of(net, Recipe(), open_hardware(Config(strategy=strategy, device="cpu"), world))


def held(tensors: list[Tensor]) -> int:
    """Numbers that this rank holds of these tensors."""
    return sum((one.to_local() if isinstance(one, DTensor) else one).numel() for one in tensors)


def shares_weights(world: World) -> None:
    """Ranks hold all of a sharded training together, and its state is that of one that was not sharded."""
    sharded, other = learner(world, "fsdp"), learner(world, "ddp")
    squares = torch.rand(2, 3, 32, 32)
    for one in (sharded, other):
        one.net.eval()
        one.wrapped_net(squares).square().mean().backward()
        one.optimizer.step()
        one.average.update(one.net, step=100)
    count = held([*other.net.parameters()])
    for kind in ("exp_avg", "exp_avg_sq"):
        moments = [sharded.optimizer.state[parameter][kind] for parameter in sharded.net.parameters()]
        assert sum(world.gather(lambda moments=moments: held(moments))) == count, kind
        assert held(moments) < count, kind
    assert sum(world.gather(lambda: held([*sharded.net.parameters()]))) == count
    assert sum(world.gather(lambda: held([*sharded.average.parameters()]))) == count
    state, expected = dict(sharded.state()), dict(other.state())
    for name in expected:
        torch.testing.assert_close(state[name], expected[name], rtol=1e-4, atol=1e-6, msg=name)
    again = learner(world, "fsdp")
    again.restore(state)
    taken = dict(again.state())
    assert taken.keys() == state.keys() and all(torch.equal(taken[name], state[name]) for name in state)
    judged = dict(sharded.candidate().named_parameters())
    assert all(torch.equal(judged[name], state[f"average.module.{name}"]) for name in judged)


def refuses_what_it_cannot_share(world: World) -> None:
    """A weight without dimensions has no parts."""
    net = create("res2net_nano", 3)
    net.backbone.gain = torch.nn.Parameter(torch.ones(()))
    hardware = open_hardware(Config(strategy="fsdp", device="cpu"), world)
    try:
        learner_of(net, Recipe(), hardware)
    except ConfigError as error:
        assert "choose 'ddp'" in str(error)
    else:
        raise AssertionError("shared out")


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
        shares_weights(world)
        refuses_what_it_cannot_share(world)
        assert world.gather(lambda: "still together") == ["still together"] * world.size
    assert not gloo_threads(), "a thread that outlives the job can abort the process at its end"


def gloo_threads() -> list[str]:
    """Names of this process's threads that serve process groups; none where no Linux tells."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    main()
