"""What the room hands over: prototype vectors and sparse item memberships."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from g2rec.artifacts import Folder, open_folder, save_folder
from g2rec.errors import ConfigError, DataError

Method = Literal["graph_head", "modularity", "random"]


class Memberships(NamedTuple):
    """Sparse soft memberships: row i belongs to ``indices[i, r]`` with weight ``weights[i, r]``."""

    indices: NDArray[np.int32]
    """[I, R], distinct within a row."""
    weights: NDArray[np.float32]
    """[I, R], each row sums to 1 and falls from left to right."""

    def matrix(self, num_prototypes: int) -> csr_matrix:
        """P as a scipy CSR matrix [I, C], float64."""
        num_items, nonzeros = self.indices.shape
        indptr = np.arange(num_items + 1, dtype=np.int64) * nonzeros
        data = self.weights.astype(np.float64).ravel()
        indices = self.indices.flatten()  # a copy: scipy sorts a matrix's indices in place
        return csr_matrix((data, indices, indptr), shape=(num_items, num_prototypes))

    def hardened(self) -> "Memberships":
        """Every item with its heaviest prototype only."""
        return Memberships(self.indices[:, :1], np.ones((len(self.indices), 1), dtype=np.float32))


@dataclass(frozen=True)
class InterestPrototypes:
    """C interest prototypes and the items' memberships in them (DESIGN: G2Rec, arXiv 2606.20554).

    The interest profile of an item is y_i = sum_a p_ia c_a; what a user wants at a time is the
    recency-weighted mean of the memberships of the items before it.
    """

    vectors: NDArray[np.float32]
    """[C, D] prototype vectors c_a, in the space of the item embeddings."""
    indices: NDArray[np.int32]
    """[I, R] prototypes of each item, heaviest first."""
    weights: NDArray[np.float32]
    """[I, R] memberships p_ia; each row sums to 1."""
    method: Method
    """How the memberships were found."""

    def __post_init__(self) -> None:
        if self.indices.shape != self.weights.shape or self.indices.ndim != 2:
            raise DataError(
                f"memberships need indices and weights of one shape [items, nonzeros], "
                f"got {self.indices.shape} and {self.weights.shape}; build them with one method"
            )
        if self.indices.size and not 0 <= int(self.indices.min()) <= int(self.indices.max()) < len(
            self.vectors
        ):
            raise DataError(
                f"memberships name prototypes {self.indices.min()} to {self.indices.max()}, "
                f"there are {len(self.vectors)}; fit the prototypes again"
            )

    @property
    def num_prototypes(self) -> int:
        """C."""
        return len(self.vectors)

    @property
    def num_items(self) -> int:
        """I."""
        return len(self.indices)

    @property
    def memberships(self) -> Memberships:
        """The sparse memberships alone."""
        return Memberships(self.indices, self.weights)

    def profiles(self) -> NDArray[np.float32]:
        """Interest profiles y_i = sum_a p_ia c_a, [I, D]."""
        product = self.memberships.matrix(self.num_prototypes) @ self.vectors
        return np.asarray(product, dtype=np.float32)

    def dominant(self) -> NDArray[np.int32]:
        """The heaviest prototype of each item, [I]."""
        return np.ascontiguousarray(self.indices[:, 0])

    def softness(self) -> float:
        """Mean entropy of the memberships over its largest value log R: 0 is hard, 1 is even."""
        if self.weights.shape[1] < 2 or not len(self.weights):
            return 0.0
        p = np.maximum(self.weights.astype(np.float64), 1e-30)
        return float(-(self.weights * np.log(p)).sum(axis=1).mean() / np.log(self.weights.shape[1]))

    def usage(self) -> NDArray[np.float64]:
        """Share of all membership weight that each prototype holds, [C]; sums to 1."""
        mass = np.bincount(
            self.indices.ravel(), weights=self.weights.ravel().astype(np.float64), minlength=len(self.vectors)
        )
        return np.asarray(mass / max(1, self.num_items))

    def user_interests(
        self,
        indptr: NDArray[np.int64],
        history: NDArray[np.int32],
        *,
        decay: float = 0.9,
        top_m: int = 5,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Each history's heaviest interests: a recency-weighted mean of its items' memberships.

        s_t = sum_j decay^(n-1-j) p_{h_j} / sum_j decay^(n-1-j), then the m largest entries, rescaled to
        sum to 1. A row depends on its own history only, so cutting a history at a target's position
        keeps the target and all that follows out of the prefix.

        Args:
            indptr: [T + 1] offsets of the histories.
            history: [H] item indices, oldest first within a history.
            decay: Weight of an item over that of the next one, in (0, 1]; dimensionless.
            top_m: Interests kept.

        Returns:
            Prototype indices [T, m], heaviest first, -1 where a history has fewer; their weights [T, m],
            0 there.
        """
        if not 0 < decay <= 1:
            raise ConfigError(f"decay must lie in (0, 1], got {decay}; 1 weighs all items alike")
        if top_m < 1:
            raise ConfigError(f"top_m must be at least 1, got {top_m}; keep one interest or more")
        lengths = np.diff(indptr)
        row = np.repeat(np.arange(len(lengths)), lengths)
        age = indptr[1:][row] - 1 - np.arange(len(history))
        recency = np.power(decay, age.astype(np.float64))
        pick = csr_matrix((recency, history, indptr), shape=(len(lengths), self.num_items))
        mass = pick @ self.memberships.matrix(self.num_prototypes)
        return _heaviest(mass, top_m)

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the prototypes into a folder."""
        arrays = {"vectors": self.vectors, "indices": self.indices, "weights": self.weights}
        meta = {"method": self.method, "num_prototypes": self.num_prototypes, "num_items": self.num_items}
        return save_folder(
            path, "interest_prototypes", arrays=arrays, config=config, made_from=made_from, meta=meta
        )

    @classmethod
    def load(cls, path: Path) -> "InterestPrototypes":
        """Read a folder that `save` wrote."""
        folder = open_folder(path, "interest_prototypes")
        arrays = {name: folder.array(name, mmap=False) for name in ("vectors", "indices", "weights")}
        return cls(**arrays, method=folder.meta["method"])


def _heaviest(mass: csr_matrix, top_m: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The m largest entries of each sparse row, rescaled to sum to 1; ties go to the lower column."""
    num_rows = mass.shape[0]
    indices = np.full((num_rows, top_m), -1, dtype=np.int32)
    weights = np.zeros((num_rows, top_m), dtype=np.float64)
    row = np.repeat(np.arange(num_rows), np.diff(mass.indptr))
    order = np.lexsort((mass.indices, -mass.data, row))
    place = np.arange(len(order)) - mass.indptr[row]
    keep = (place < top_m) & (mass.data[order] > 0)
    indices[row[keep], place[keep]] = mass.indices[order][keep]
    weights[row[keep], place[keep]] = mass.data[order][keep]
    total = weights.sum(axis=1, keepdims=True)
    return indices, (weights / np.where(total > 0, total, 1.0)).astype(np.float32)
