"""Sampled subgraphs for anybody's LightningModule."""

from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.errors import ConfigError
from g2rec.sampling import SampledSubgraph, Sampler
from g2rec.shapes import Float, Int, Tensor
from g2rec.training.batches import Ahead, BatchKey, batches_ahead


@dataclass(frozen=True)
class GraphBatch:
    """A sampled subgraph and the features of its nodes."""

    subgraph: SampledSubgraph
    """Around the batch's seeds."""
    features: Float[Tensor, "n F"] | None
    """Rows of ``subgraph.nodes``; None where the module was given none."""

    def to(self, device: torch.device | str) -> "GraphBatch":
        """The batch on another device."""
        features = None if self.features is None else self.features.to(device, non_blocking=True)
        return GraphBatch(self.subgraph.to(device), features)


class GraphDataModule(L.LightningDataModule):
    """Batches of sampled subgraphs, for any Trainer and any LightningModule.

    Batches are made ahead by threads, which share the graph, memory-mapped or not: nothing is copied for a
    worker, and a batch is handed over as it is. What is in a batch depends on (seed, epoch, step) only. With
    a GPU, batches lie in page-locked memory, from which they are copied while the GPU computes; a sampler
    that works on the GPU (`DeviceSampler`) makes its batches there, without threads.

    Args:
        sampler: Any engine.
        seeds: [S] nodes to sample around; an epoch takes each once.
        batch_size: Seeds in a batch.
        features: [N, F] of all nodes, may be memory-mapped; the rows of a batch's nodes are gathered.
        num_threads: Batches made at the same time; 0 makes each when it is asked for.
        seed: With the epoch, decides the order of the seeds.
        shuffle: Take the seeds in another order in each epoch.

    Raises:
        ConfigError: If there is no seed, or a number is out of range.
    """

    def __init__(
        self,
        sampler: Sampler,
        seeds: Int[Tensor, " S"],
        *,
        batch_size: int = 1024,
        features: NDArray[np.float32] | Tensor | None = None,
        num_threads: int = 2,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        super().__init__()
        if not len(seeds) or batch_size < 1 or num_threads < 0:
            raise ConfigError(
                f"expected seeds, a batch_size of 1 or more and num_threads of 0 or more, got {len(seeds)} "
                f"seeds, {batch_size} and {num_threads}; change them"
            )
        self.sampler, self.seeds, self.batch_size, self.seed = sampler, seeds, batch_size, seed
        self.num_threads, self.shuffle = num_threads, shuffle
        self.features = torch.from_numpy(features) if isinstance(features, np.ndarray) else features
        self._pin = torch.cuda.is_available()

    def train_dataloader(self) -> Ahead[GraphBatch]:
        """All seeds once, in batches."""
        return batches_ahead(
            self.make,
            len(self.seeds),
            self.batch_size,
            seed=self.seed,
            shuffle=self.shuffle,
            num_threads=self.num_threads,
        )

    def make(self, key: BatchKey) -> GraphBatch:
        """One batch."""
        subgraph = self.sampler.sample(self.seeds[torch.from_numpy(key.rows)], key=(key.epoch, key.step))
        if self._pin and not subgraph.nodes.is_cuda:
            subgraph = subgraph.pin_memory()
        if self.features is None:
            return GraphBatch(subgraph, None)
        nodes = subgraph.nodes.to(self.features.device)
        shape = (len(nodes), *self.features.shape[1:])
        pin = self._pin and not self.features.is_cuda
        out = torch.empty(shape, dtype=self.features.dtype, device=self.features.device, pin_memory=pin)
        return GraphBatch(subgraph, torch.index_select(self.features, 0, nodes, out=out))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch; Lightning does not look inside a frozen dataclass."""
        return batch.to(device)
