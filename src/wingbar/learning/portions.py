"""A batch in portions, one after the other, where memory does not suffice for the whole.

A GPU refuses what it does not have: then portions are halved and tried again. Linux grants more than there is and ends
the process that uses it: so on a CPU what a step will need is estimated beforehand.
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
"""A step's peak against what it saves for the way back: 1.3 to 1.7 seen. See docs/performance.md, "Memory"."""
COPIES = 4
"""Of the weights, beside them: gradient, AdamW's two moments, moving average."""
ROOM = 0.8
"""The share of free memory that a step may count on: loaders and others want some too."""


@dataclass
class Portions:
    """In how many portions a training takes its batches: 1, 2, 4 ...

    Portions add up to the gradient of the whole, but for the order of its sums and dropout's draws.
    """

    divisible: bool
    """Whether that holds: batch norms that learn would take the statistics of a portion."""
    say: Callable[[str], None]
    count: int = 1

    def fit_into(self, free: int, net: MapNet, size: int, batch_size: int) -> None:
        """Divide batches of squares of ``size`` pixels until a step of ``net`` needs no more than ``free`` bytes.

        A batch that cannot be divided is reported: it may be that there is enough after all.
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
        """The sum of what ``descend`` gives for each portion of the batch's tensors.

        ``descend`` adds a gradient, ``forget`` sets it to zero. Raises what ``descend`` does; of memory that is refused
        only where the batch cannot be divided further.
        """
        while True:
            forget()
            try:
                portions = zip(*(torch.tensor_split(one, min(self.count, len(one))) for one in batch), strict=True)
                return torch.stack([descend(*portion) for portion in portions]).sum()
            except RuntimeError as error:
                if not self.divisible or self.count >= len(batch[0]) or not out_of_memory(error):
                    raise
            # Only here, behind the error, is what the portion held given back.
            self.count *= 2
            self.say(f"  memory was refused: {self._how_divided()}")

    def _how_divided(self) -> str:
        return f"each batch is taken in {self.count} portions"


def needs(net: MapNet, size: int) -> tuple[int, int]:
    """Bytes that a step of training needs for the net's weights, and for each square of ``size`` pixels: estimates."""
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
