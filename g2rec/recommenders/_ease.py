"""EASE: item-to-item weights in closed form, which few neural models beat."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import csr_matrix

from g2rec.artifacts import Folder
from g2rec.errors import ConfigError, DataError
from g2rec.graph import available_bytes
from g2rec.interactions import Interactions
from g2rec.recommenders._base import Recommender, read_config
from g2rec.recommenders._history import HistoryBatch
from g2rec.recommenders._sparse import SparseItemRows
from g2rec.shapes import Float, Int, Tensor

_MATRICES = 3
"""Dense matrices of the catalogue that inverting holds at once: the counts or the factor, and two more."""
_ROWS = 1 << 24
"""Entries whose largest are looked for at once."""


@dataclass(frozen=True, kw_only=True)
class EASEConfig:
    """EASE with a history that fades."""

    regularization: float = 50.0
    """Lambda of the ridge regression, in users."""
    decay: float = 0.8
    """Vote of an item of the history over that of the next one; 1 votes alike, as in the paper."""
    neighbours: int = 300
    """Weights of the largest magnitude kept for each item."""


class EASE(Recommender):
    """Embarrassingly shallow autoencoder (Steck, WWW 2019, arXiv 1905.03375).

    P = (X^T X + lambda I)^-1;  B_ij = -P_ij / P_jj, B_ii = 0;  score_j = sum_r decay^r B_{x_r j}

    X [U, I] says which user has a training event of which item, and x_0 is the last item of the history.
    Deviations: votes decay with age, and only the ``neighbours`` largest weights of each row are kept.

    Neither costs: decay .8 has the highest validation R@10 of .5 to 1 on Beauty and Toys with either order of
    ties (Beauty, shuffled, masked: .0996 / .0607, and .0925 / .0551 without decay), and on test 300 weights a
    row rank as all 12,101 do (Beauty in file order .0777 / .0453 and .0778 / .0453).

    Memory of fitting: three matrices of I * I float32 (1.8 GB for 12,101 items, 20 GB for 40,981) on the
    GPU where there is one, and else in the host; time I^3. float32 is enough: lambda bounds the condition
    number by that of the most frequent items over lambda.

    Args:
        config: Regularisation and votes.
        matrix: [I, I] weights.
    """

    name = "ease"
    config: EASEConfig

    def __init__(self, config: EASEConfig, matrix: csr_matrix) -> None:
        super().__init__()
        self.config, self.num_items = config, int(matrix.shape[0])
        self.rows = SparseItemRows(matrix)

    @classmethod
    def fit(
        cls,
        interactions: Interactions,
        config: EASEConfig | None = None,
        device: torch.device | str | None = None,
    ) -> Self:
        """Solve for the weights of the training events.

        Args:
            interactions: The prepared log.
            config: Regularisation and votes.
            device: Where the matrix is inverted; a GPU if there is one.

        Raises:
            ConfigError: If a value is out of range.
            DataError: If the catalogue's matrix does not fit into memory.
        """
        config = config or EASEConfig()
        _check(config)
        events, num_items = interactions.train_events(), interactions.num_items
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        _check_memory(num_items, where)
        ones = np.ones(len(events.item_index), dtype=np.float32)
        shape = (interactions.num_users, num_items)
        seen = csr_matrix((ones, (events.user_index, events.item_index)), shape=shape)
        seen.data[:] = 1.0  # repeats count once
        return cls(config, _solve((seen.T @ seen).tocoo(), config, where))

    def score(self, batch: HistoryBatch) -> Float[Tensor, "B I"]:
        """Votes of the whole history."""
        place = batch.lengths.unsqueeze(1) - 1 - torch.arange(batch.items.shape[1], device=batch.items.device)
        return self.rows.weighted_sum(batch.items, self.config.decay ** place.clamp(min=0).float())

    def meta(self) -> Mapping[str, Any]:
        """Stored weights."""
        return {"num_entries": len(self.rows.values)}

    @classmethod
    def from_folder(cls, folder: Folder) -> Self:
        """An instance of the saved sizes."""
        config = read_config(EASEConfig, folder.manifest["config"])
        return cls(
            config, SparseItemRows.empty(int(folder.meta["num_items"]), int(folder.meta["num_entries"]))
        )


def _check(config: EASEConfig) -> None:
    if not config.regularization > 0:
        raise ConfigError(f"regularization must be positive, got {config.regularization}; 50 is usual")
    if not 0 < config.decay <= 1:
        raise ConfigError(f"decay must be in (0, 1], got {config.decay}; 0.8 is usual")
    if config.neighbours < 1:
        raise ConfigError(f"neighbours must be at least 1, got {config.neighbours}; 300 is usual")


def _check_memory(num_items: int, where: torch.device) -> None:
    free = torch.cuda.mem_get_info(where)[0] if where.type == "cuda" else available_bytes()
    needed = _MATRICES * 4 * num_items**2
    if free is not None and needed > free:
        raise DataError(
            f"EASE of {num_items:,} items needs {needed / 1e9:.1f} GB for a matrix of the catalogue, "
            f"{free / 1e9:.1f} GB are free; leave ease out of the baselines or use a larger machine"
        )


def _solve(together: Any, config: EASEConfig, where: torch.device) -> csr_matrix:
    """The kept weights, from the co-occurrence counts."""
    num_items = int(together.shape[0])
    dense = torch.zeros(num_items, num_items, device=where)
    at = torch.from_numpy(np.stack([together.row, together.col]).astype(np.int64)).to(where)
    dense[at[0], at[1]] = torch.from_numpy(together.data).to(where)
    dense.diagonal().add_(config.regularization)
    dense = torch.linalg.cholesky(dense)
    dense = torch.cholesky_inverse(dense)
    scale = -1.0 / dense.diagonal().clone()
    dense.diagonal().zero_()
    kept, columns, values = min(config.neighbours, num_items), [], []
    for rows in torch.split(dense, max(1, _ROWS // num_items)):
        weights = rows * scale
        largest: Int[Tensor, "r k"] = weights.abs().topk(kept, dim=1).indices
        columns.append(largest.cpu())
        values.append(weights.gather(1, largest).cpu())
    indptr = np.arange(num_items + 1) * kept
    entries = (torch.cat(values).flatten().numpy(), torch.cat(columns).flatten().numpy(), indptr)
    return csr_matrix(entries, shape=(num_items, num_items))
