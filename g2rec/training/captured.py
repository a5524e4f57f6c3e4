"""A loss and its gradient as CUDA graphs: steps of small models are mostly the launching of kernels."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from g2rec.recommenders import HistoryBatch, Recommender
from g2rec.shapes import Float, Int, Tensor

_OFTEN = 3
"""A shape that comes so many times is recorded; until then, and where it is rarer, kernels are launched."""


class CapturedLoss:
    """A recommender's `loss`, recorded once for each shape of batch and replayed; its backward pass too.

    The values are those of the loss itself, dropout included: recording leaves the random state as it was.
    All graphs share one pool of memory for what they compute on the way; each has its own gradients, which
    lie where its next replay writes its own: use them before (no accumulation over batches).

    Args:
        model: ``capturable``, and on a CUDA device; its weights must stay where they are.
    """

    def __init__(self, model: Recommender) -> None:
        self.model = model
        self._pool = torch.cuda.graph_pool_handle()
        self._seen: Counter[torch.Size] = Counter()
        self._graphs: dict[torch.Size, Callable[..., Any]] = {}

    def __call__(self, batch: tuple[HistoryBatch, Int[Tensor, " B"]]) -> Float[Tensor, ""]:
        """The loss of one batch; `backward` of it replays the rest."""
        history, target = batch
        inputs = (history.user_index, history.items, history.lengths, target)
        shape = history.items.shape
        if shape not in self._graphs:
            self._seen[shape] += 1
            loss = _Loss(self.model)
            if self._seen[shape] < _OFTEN:
                return loss(*inputs)  # type: ignore[no-any-return]
            with torch.random.fork_rng(devices=[target.device]):
                sample = tuple(part.clone() for part in inputs)
                self._graphs[shape] = torch.cuda.make_graphed_callables(loss, sample, pool=self._pool)
        value: Tensor = self._graphs[shape](*inputs)
        return value.clone()  # what the graph returns is overwritten by its next replay


class _Loss(nn.Module):
    """The loss as a module of nothing but tensors, which is what torch records."""

    def __init__(self, model: Recommender) -> None:
        super().__init__()
        self.model: Any = model
        self.train(model.training)

    def forward(self, user_index: Tensor, items: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = self.model.loss((HistoryBatch(user_index, items, lengths), target))
        return loss
