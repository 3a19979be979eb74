"""Gradient accumulation: a batch is divided into portions where memory does not suffice for the whole.

A GPU reports that its memory is used up; then the portions are halved and the step is repeated. Linux grants more
memory than there is, and ends the process that uses it. So on a CPU the memory of a step is estimated in advance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from wingbar._system.memory import out_of_memory
from wingbar.nets.saliency_head import MapNet

PEAK = 1.75
"""Peak memory of a step over what it saves for the backward pass; 1.3 to 1.7 were measured (docs/performance.md)."""
COPIES = 4
"""Copies of the weights that a training holds: the gradient, the two moments of AdamW, the moving average."""
ROOM = 0.8
"""Share of the free memory that a step may use; the rest is left to loaders and other programs."""


@dataclass
class Portions:
    """The number of portions (1, 2, 4 ...) that a training divides each batch into.

    The gradients of the portions add up to that of the whole batch, except for the order of the sums and for dropout.
    """

    divisible: bool
    """Whether batches may be divided. Not with trained batch norms: a portion would have its own statistics."""
    say: Callable[[str], None]
    count: int = 1

    def fit_into(self, free: int, net: MapNet, size: int, batch_size: int) -> None:
        """Divide batches of squares of ``size`` pixels until a step of ``net`` needs at most ``free`` bytes.

        A batch that may not be divided stays whole and is reported, because the memory may suffice after all.
        """
        weights, picture = needs(net, size)
        count = 1
        while count < batch_size and weights + picture * -(-batch_size // count) > ROOM * free:
            count *= 2
        if count > 1:
            message = (
                f"  a step wants about {(weights + picture * batch_size) / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: "
            )
            self.count = count if self.divisible else 1
            self.say(
                message + (self._how_divided() if self.divisible else "if it is ended, lower --batch-size or --size")
            )

    def add_up(self, batch: Sequence[Tensor], descend: Callable[..., Tensor], forget: Callable[[], None]) -> Tensor:
        """The sum of the results of ``descend`` for each portion of the batch's tensors.

        ``descend`` adds to the gradient, ``forget`` sets it to zero. Raises what ``descend`` raises; an error of memory
        only where the batch cannot be divided further.
        """
        while True:
            forget()
            try:
                split = (torch.tensor_split(tensor, min(self.count, len(tensor))) for tensor in batch)
                portions = zip(*split, strict=True)
                return torch.stack([descend(*portion) for portion in portions]).sum()
            except RuntimeError as error:
                if not self.divisible or self.count >= len(batch[0]) or not out_of_memory(error):
                    raise
            # The memory of the failed portion is free only now that the error has been handled.
            self.count *= 2
            self.say(f"  memory was refused: {self._how_divided()}")

    def _how_divided(self) -> str:
        return f"each batch is taken in {self.count} portions"


def needs(net: MapNet, size: int) -> tuple[int, int]:
    """Estimated bytes that a training step needs for the net's weights, and for each square of ``size`` pixels."""
    storages = [parameter.untyped_storage() for parameter in net.parameters()]
    weights = {storage.data_ptr(): storage.nbytes() for storage in storages}
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    net.eval()  # leaves batch norms as they are
    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        net(torch.zeros(2, 3, size, size))
    return COPIES * sum(weights.values()), round(PEAK * sum(saved.values()) / 2)
