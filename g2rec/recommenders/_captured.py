"""Rank with one CUDA graph: for serving, where batches are small and most time goes to launching kernels."""

import torch
import torch.nn.functional as F

from g2rec.errors import ConfigError
from g2rec.recommenders._base import RankedItems, Recommender
from g2rec.recommenders._history import HistoryBatch
from g2rec.shapes import Bool, Tensor


class CapturedRanking:
    """A recommender's `rank`, recorded once for batches of a fixed shape and replayed.

    Smaller batches are padded to that shape. The graph reads the weights where they were when it was
    recorded: record again after the model was moved.

    Args:
        model: Its `rank` must not wait for the GPU; on a CUDA device.
        k: Items a user.
        batch_size: Users at once, at most.
        max_len: Items of history that are read; older ones are cut off.
        masked: Whether `rank` is given items to exclude.

    Raises:
        ConfigError: If the model is not on a CUDA device.
    """

    def __init__(
        self, model: Recommender, k: int, *, batch_size: int, max_len: int, masked: bool = False
    ) -> None:
        device = model.device
        if device.type != "cuda":
            raise ConfigError(f"a CUDA graph needs the model on a GPU, it is on {device}; call rank instead")
        self.batch_size, self.max_len = batch_size, max_len
        self._batch = HistoryBatch(
            torch.zeros(batch_size, dtype=torch.long, device=device),
            torch.full((batch_size, max_len), -1, dtype=torch.long, device=device),
            torch.zeros(batch_size, dtype=torch.long, device=device),
        )
        self._exclude: Tensor | None = None
        if masked:
            self._exclude = torch.zeros(batch_size, model.num_items, dtype=torch.bool, device=device)
        with torch.no_grad(), torch.cuda.device(device):
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(2):  # what libraries set up on first use must not be recorded
                    model.rank(self._batch, k, exclude=self._exclude)
            torch.cuda.current_stream().wait_stream(stream)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._ranked = model.rank(self._batch, k, exclude=self._exclude)

    def rank(self, batch: HistoryBatch, exclude: Bool[Tensor, "B I"] | None = None) -> RankedItems:
        """As the model's `rank`.

        Raises:
            ConfigError: If the batch is larger than what was recorded, or masked where that was not.
        """
        rows = len(batch.lengths)
        if rows > self.batch_size or (exclude is None) != (self._exclude is None):
            raise ConfigError(
                f"recorded for {self.batch_size} users {'with' if self._exclude is not None else 'without'} "
                f"a mask, got {rows} {'with' if exclude is not None else 'without'} one; record another"
            )
        batch = batch.last(self.max_len)
        empty = self.max_len - batch.items.shape[1]
        self._batch.user_index[:rows].copy_(batch.user_index)
        self._batch.items[:rows].copy_(F.pad(batch.items, (0, empty), value=-1))
        self._batch.lengths[:rows].copy_(batch.lengths)
        if self._exclude is not None and exclude is not None:
            self._exclude[:rows].copy_(exclude)
        self._graph.replay()
        return RankedItems(self._ranked.items[:rows].clone(), self._ranked.scores[:rows].clone())
