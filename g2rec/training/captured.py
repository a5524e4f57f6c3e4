"""A loss and its gradient as CUDA graphs: steps of small models are mostly the launching of kernels."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from g2rec.recommenders import Recommender, TargetBatch, TrainingBatch
from g2rec.shapes import Float, Tensor

_OFTEN = 3
"""Shapes that come so many times are recorded; until then, and where they are rarer, kernels are launched."""

_MOST = 64
"""Graphs, of which each holds a copy of the gradients."""


class CapturedLoss:
    """A recommender's `loss`, recorded once for the shapes of a batch and replayed; its backward pass too.

    The values are those of the loss itself, dropout included: recording leaves the random state as it was.
    All graphs share one pool of memory for what they compute on the way; each has its own gradients, which
    lie where its next replay writes its own: use them before (no accumulation over batches).

    Args:
        model: ``capturable``, and on a CUDA device; its weights must stay where they are.
    """

    def __init__(self, model: Recommender) -> None:
        self.model = model
        self._pool = torch.cuda.graph_pool_handle()
        self._seen: Counter[tuple[torch.Size, ...]] = Counter()
        self._graphs: dict[tuple[torch.Size, ...], Callable[..., Any]] = {}

    def __call__(self, batch: TargetBatch | TrainingBatch | Tensor) -> Float[Tensor, ""]:
        """The loss of one batch; `backward` of it replays the rest."""
        if isinstance(batch, Tensor):  # sequences that are not planned
            return self.model.loss(batch)  # type: ignore[no-any-return, operator]
        shapes = tuple(part.shape for part in batch)
        if shapes not in self._graphs:
            self._seen[shapes] += 1
            loss = _Loss(self.model, type(batch))
            if self._seen[shapes] < _OFTEN or len(self._graphs) == _MOST:
                return loss(*batch)  # type: ignore[no-any-return]
            with torch.random.fork_rng(devices=[self.model.device]):
                sample = tuple(part.clone() for part in batch)
                self._graphs[shapes] = torch.cuda.make_graphed_callables(
                    loss, sample, allow_unused_input=True, pool=self._pool
                )
        value: Tensor = self._graphs[shapes](*batch)
        return value.clone()  # what the graph returns is overwritten by its next replay


class _Loss(nn.Module):
    """The loss as a module that takes nothing but tensors, which is what torch records."""

    def __init__(self, model: Recommender, kind: type[TargetBatch] | type[TrainingBatch]) -> None:
        super().__init__()
        self.model: Any = model
        self.kind = kind
        self.train(model.training)

    def forward(self, *parts: Tensor) -> Tensor:
        loss: Tensor = self.model.loss(self.kind(*parts))
        return loss
