"""Item transitions: what follows the last few items, counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError
from g2rec.interactions import Interactions
from g2rec.recommenders._base import Recommender, read_config
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._sparse import SparseItemRows
from g2rec.shapes import Float, Tensor


@dataclass(frozen=True, kw_only=True)
class ItemTransitionsConfig:
    """Directed transitions within a window."""

    window: int = 3
    """Largest gap between two items of a transition, in events."""
    last_items: int = 5
    """Items of the history that vote."""
    decay: float = 0.6
    """Vote of an item over that of the next one."""

    def build(self, *, matrix: csr_matrix) -> "ItemTransitions":
        """A recommender over counted transitions.

        Raises:
            ConfigError: If a value is out of range.
        """
        for name in ("window", "last_items"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}; raise it")
        if not 0 < self.decay <= 1:
            raise ConfigError(f"decay must be in (0, 1], got {self.decay}; 0.6 is usual")
        return ItemTransitions(self, matrix)


class ItemTransitions(Recommender):
    """Directed Markov transitions with a window and a few voting items.

    w_ij = sum over training pairs (i before j, gap g <= window) of 1 / g
    score_j = sum_r decay^r w_{x_r j} / sqrt(sum_k w_{x_r k}),  x_0 the last item

    The root lies between raw counts, where popular items outvote rare ones, and probabilities, where an item
    seen once votes with certainty. Validation set, masked, R@10 / N@10 of raw, root and probabilities:
    Beauty in file order .1027 / .0651, .1030 / .0659, .0968 / .0619; shuffled ties .0841 / .0511,
    .0835 / .0505, .0770 / .0459; Toys alike. So raw and root are level, and probabilities lose.

    Args:
        config: Window and votes.
        matrix: [I, I] transition weights.
    """

    name = "item_transitions"
    config: ItemTransitionsConfig

    def __init__(self, config: ItemTransitionsConfig, matrix: csr_matrix) -> None:
        super().__init__()
        self.config, self.num_items = config, int(matrix.shape[0])
        self.rows = SparseItemRows(matrix)

    @classmethod
    def fit(cls, interactions: Interactions, config: ItemTransitionsConfig | None = None) -> Self:
        """Count the transitions of the training sequences."""
        config = config or ItemTransitionsConfig()
        sequences, num_items = interactions.train_sequences(), interactions.num_items
        items = np.asarray(sequences.item_index)
        owner = np.repeat(np.arange(len(sequences.indptr) - 1), np.diff(sequences.indptr))
        total = csr_matrix((num_items, num_items), dtype=np.float64)
        for gap in range(1, config.window + 1):
            same = owner[:-gap] == owner[gap:]
            pairs = (items[:-gap][same], items[gap:][same])
            ones = np.full(len(pairs[0]), 1.0 / gap)
            total = total + coo_matrix((ones, pairs), shape=(num_items, num_items)).tocsr()
        strength = np.asarray(total.sum(1)).ravel()
        total.data /= np.repeat(np.sqrt(np.maximum(strength, 1e-12)), np.diff(total.indptr))
        config.build(matrix=total)
        return cls(config, total)

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Votes of the last items."""
        recent = batch.recent(self.config.last_items)
        place = torch.arange(recent.shape[1], device=recent.device)
        return self.rows.weighted_sum(recent, (self.config.decay ** place.float()).expand(recent.shape))

    def meta(self) -> Mapping[str, Any]:
        """Stored transitions."""
        return {"num_entries": len(self.rows.values)}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved sizes."""
        config = read_config(ItemTransitionsConfig, folder.manifest["config"])
        return cls(
            config, SparseItemRows.empty(int(folder.meta["num_items"]), int(folder.meta["num_entries"]))
        )
