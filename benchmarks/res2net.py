"""Our Res2Net against timm's, with the same weights: prediction, a step of training, and its memory.

    python benchmarks/res2net.py [--quick] [--write]

Both channels-last and without gradients in prediction; ours is `wingbar.nets.for_inference(net)`.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import timm
import torch
from _measure import Options, alternate, door, table, versions
from torch import nn
from torch.nn import functional as F

from wingbar.nets import for_inference, res2net

NAMES = ("res2net50_26w_4s", "res2net50_14w_8s", "res2net101_26w_4s")
SIDE = 224
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def nets(name: str) -> dict[str, nn.Module]:
    """timm's net with batch norms that are not trivial, and ours with its weights."""
    torch.manual_seed(0)
    theirs = timm.create_model(name)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.3, 0.7)
    ours = getattr(res2net, name)()
    ours.load_state_dict(theirs.state_dict())
    return {"timm": theirs.to(memory_format=torch.channels_last), "ours": ours.to(memory_format=torch.channels_last)}


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest, over the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


@torch.inference_mode()
def prediction(name: str, options: Options) -> list[list[object]]:
    """Rows of one net: type, threads, batch, milliseconds, ratio, difference."""
    both = nets(name)
    found: list[list[object]] = []
    for kind, dtype in list(TYPES.items())[: options.number(len(TYPES), 1)]:
        sides = {"timm": both["timm"].eval(), "ours": for_inference(both["ours"])}
        sides = {key: net.to(dtype).to(memory_format=torch.channels_last) for key, net in sides.items()}
        for threads in (1,) if options.quick else (1, 2):
            torch.set_num_threads(threads)
            for batch in (1,) if options.quick else (1, 16):
                x = torch.randn(batch, 3, SIDE, SIDE).to(dtype).to(memory_format=torch.channels_last)
                runs: dict[str, Callable[[], torch.Tensor]] = {key: partial(net, x) for key, net in sides.items()}
                error = difference(runs["ours"](), runs["timm"]())
                timed = alternate(runs, {1: 11, 16: 3}[batch])
                times = [1e3 * timed.median(side) for side in ("timm", "ours")]
                found.append([name, kind, threads, batch, *times, timed.ratio("timm", "ours"), f"{error:.0e}"])
    torch.set_num_threads(1)
    return found


def stepper(net: nn.Module, batch: int) -> Callable[[], object]:
    """One step of training on noise."""
    torch.manual_seed(1)
    x = torch.randn(batch, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    labels, optimizer = torch.randint(0, 1000, (batch,)), torch.optim.SGD(net.train().parameters(), 1e-3, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(x), labels).backward()
        optimizer.step()

    return step


def peak(name: str, side: str, batch: int) -> float:
    """Megabytes of a process that takes two steps."""
    command = [sys.executable, __file__, "--step", side, name, str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def training(name: str, options: Options) -> list[list[object]]:
    """Rows of one net: threads, batch, milliseconds, ratio, megabytes of each side."""
    both = nets(name)
    found: list[list[object]] = []
    for batch in (2,) if options.quick else (8,):
        memory = [peak(name, side, batch) for side in ("timm", "ours")]
        for threads in (1,) if options.quick else (1, 2):
            torch.set_num_threads(threads)
            timed = alternate({side: stepper(net, batch) for side, net in both.items()}, options.number(3, 1))
            times = [1e3 * timed.median(side) for side in ("timm", "ours")]
            found.append([name, threads, batch, *times, timed.ratio("timm", "ours"), *memory])
    torch.set_num_threads(1)
    return found


def measure(options: Options) -> str:
    """The section of docs/performance.md."""
    names = NAMES[:1] if options.quick else NAMES
    header = ("net", "type", "threads", "batch", "timm, ms", "ours, ms", "times as fast", "difference")
    steps = ("net", "threads", "batch", "timm, ms", "ours, ms", "times as fast", "timm, peak MB", "ours, peak MB")
    return f"""## Res2Net

Against {versions("timm")}'s net of the same name and weights, {SIDE} px, both channels-last, alternating: processor
time on one thread, wall time on two. Prediction is `wingbar.nets.for_inference(net)`; the difference is the largest,
over the largest output.

{table(header, [row for name in names for row in prediction(name, options)])}

A step of training (SGD, float32); memory is the peak of a process of its own that takes two steps.

{table(steps, [row for name in names for row in training(name, options)])}"""


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--step", nargs=3, metavar=("SIDE", "NET", "BATCH"), help="only take two steps, print peak MB")


if __name__ == "__main__":
    if "--step" in sys.argv:
        side, name, batch = sys.argv[-3:]
        torch.set_num_threads(1)
        step = stepper(nets(name)[side], int(batch))
        step()
        step()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        door(measure, __doc__, more)
