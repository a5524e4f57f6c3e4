"""Item-kNN: items chosen by the same users."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError
from g2rec.interactions import Interactions
from g2rec.recommenders._base import Recommender, read_config
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._sparse import SparseItemRows
from g2rec.shapes import Float, Tensor


@dataclass(frozen=True, kw_only=True)
class ItemKNNConfig:
    """Cosine neighbours of the items in the history."""

    neighbours: int = 200
    """Most similar items kept for each item."""
    shrinkage: float = 10.0
    """Added to the denominator, in events: similarities that rest on few users shrink."""
    decay: float = 0.9
    """Vote of an item of the history over that of the next one; 1 votes alike."""


class ItemKNN(Recommender):
    """Item-based collaborative filtering (Deshpande and Karypis, TOIS 2004).

    s_ij = n_ij / (sqrt(n_i n_j) + shrinkage);  score_j = sum_r decay^r s_{x_r j},  x_0 the last item

    n_ij counts the users with training events of both, n_i those of i. Deviation: the votes decay with age,
    which the paper does not have; ``decay=1`` is the paper's.

    Args:
        config: Neighbours and votes.
        matrix: [I, I] similarities, ``neighbours`` a row.
    """

    name = "item_knn"
    config: ItemKNNConfig

    def __init__(self, config: ItemKNNConfig, matrix: csr_matrix) -> None:
        super().__init__()
        self.config, self.num_items = config, int(matrix.shape[0])
        self.rows = SparseItemRows(matrix)

    @classmethod
    def fit(cls, interactions: Interactions, config: ItemKNNConfig | None = None) -> Self:
        """Count co-occurrences of the training events; memory grows with the pairs that occur.

        Raises:
            ConfigError: If a value is out of range.
        """
        config = config or ItemKNNConfig()
        _check(config)
        events, num_items = interactions.train_events(), interactions.num_items
        ones = np.ones(len(events.item_index), dtype=np.float32)
        shape = (interactions.num_users, num_items)
        seen = csr_matrix((ones, (events.user_index, events.item_index)), shape=shape)
        seen.data[:] = 1.0  # repeats count once
        together = (seen.T @ seen).tocsr()
        together.setdiag(0)
        together.eliminate_zeros()
        root = np.sqrt(np.asarray(seen.sum(0)).ravel())
        row = np.repeat(np.arange(num_items), np.diff(together.indptr))
        together.data /= root[row] * root[together.indices] + config.shrinkage
        return cls(config, _keep_largest(together, row, config.neighbours))

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Votes of the whole history."""
        place = batch.lengths.unsqueeze(1) - 1 - torch.arange(batch.items.shape[1], device=batch.items.device)
        return self.rows.weighted_sum(batch.items, self.config.decay ** place.clamp(min=0).float())

    def meta(self) -> Mapping[str, Any]:
        """Stored similarities."""
        return {"num_entries": len(self.rows.values)}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved sizes."""
        config = read_config(ItemKNNConfig, folder.manifest["config"])
        return cls(
            config, SparseItemRows.empty(int(folder.meta["num_items"]), int(folder.meta["num_entries"]))
        )


def _check(config: ItemKNNConfig) -> None:
    if config.neighbours < 1:
        raise ConfigError(f"neighbours must be at least 1, got {config.neighbours}; 200 is usual")
    if config.shrinkage < 0:
        raise ConfigError(f"shrinkage must not be negative, got {config.shrinkage}; 10 is usual")
    if not 0 < config.decay <= 1:
        raise ConfigError(f"decay must be in (0, 1], got {config.decay}; 0.9 is usual")


def _keep_largest(matrix: csr_matrix, row: np.ndarray[Any, Any], k: int) -> csr_matrix:
    order = np.lexsort((-matrix.data, row))
    place = np.arange(len(order)) - matrix.indptr[row[order]]
    kept = order[place < k]
    return csr_matrix((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)
