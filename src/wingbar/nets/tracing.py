"""Recording the inputs and outputs of a network's layers, without changing the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import get_ident

import torch
from torch import Tensor, nn

See = Callable[[str, Tensor, Tensor], None]


@contextmanager
def watching(layers: Mapping[str, nn.Module], see: See) -> Iterator[None]:
    """Within the context, ``see(name, input, output)`` is called whenever one of ``layers`` has run in this thread.

    Other threads may run the same layers at the same time, each for itself.
    """
    mine = get_ident()

    def hook(name: str, _: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if get_ident() == mine:
            see(name, args[0], output)

    handles = [layer.register_forward_hook(partial(hook, name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def probe(net: nn.Module, run: Callable[[Tensor], Tensor], seed: int = 0) -> Tensor:
    """The result of ``run`` on one picture of noise, with ``net`` in eval mode; its modes are restored afterwards.

    The picture is small, or has the input size of the net where that is fixed.
    """
    height, width = (96, 96) if getattr(net, "any_size", False) else getattr(net, "input_size", (224, 224))
    like = next(net.parameters())
    picture = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        return run(picture.to(like))
    finally:
        for module, training in modes.items():
            module.training = training
