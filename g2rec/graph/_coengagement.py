"""The item-item graph: how often two items are engaged with by the same user."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from g2rec.artifacts import Folder, open_folder, save_folder
from g2rec.errors import DataError

_KIND = "coengagement_graph"


@dataclass(frozen=True)
class CoEngagementGraph:
    """Weighted item-item edges, symmetric, without self-loops, both directions listed (CSR)."""

    num_items: int
    """I."""
    indptr: NDArray[np.int64]
    """[I + 1] offsets of the rows."""
    indices: NDArray[np.int32]
    """[E] neighbours, rising within a row."""
    weights: NDArray[np.float32]
    """[E] positive weights."""

    def __post_init__(self) -> None:
        if len(self.indptr) != self.num_items + 1 or not (
            int(self.indptr[-1]) == len(self.indices) == len(self.weights)
        ):
            raise DataError(
                f"a co-engagement graph of {self.num_items} items needs {self.num_items + 1} offsets and one "
                f"weight per neighbour, got {len(self.indptr)} offsets, {len(self.indices)} neighbours and "
                f"{len(self.weights)} weights; build it with build_coengagement"
            )

    @property
    def num_edges(self) -> int:
        """E, both directions."""
        return len(self.indices)

    @cached_property
    def total_weight(self) -> float:
        """Sum of all weights, both directions."""
        return float(np.sum(self.weights, dtype=np.float64))

    def strength(self) -> NDArray[np.float64]:
        """Sum of the weights at every item, [I]."""
        row = np.repeat(np.arange(self.num_items), np.diff(self.indptr))
        return np.bincount(row, weights=self.weights, minlength=self.num_items).astype(np.float64)

    def edge_list(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """(source, target, weight) of every edge, [E] each, both directions."""
        row = np.repeat(np.arange(self.num_items, dtype=np.int64), np.diff(self.indptr))
        return row, np.asarray(self.indices, dtype=np.int64), np.asarray(self.weights)

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the graph into a folder."""
        arrays: dict[str, NDArray[Any]] = {
            "indptr": self.indptr,
            "indices": self.indices,
            "weights": self.weights,
        }
        meta = {"num_items": self.num_items}
        return save_folder(path, _KIND, arrays=arrays, config=config, made_from=made_from, meta=meta)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open a folder that `save` wrote; arrays stay on disk, memory-mapped."""
        folder = open_folder(path, _KIND)
        arrays = (folder.array(name) for name in ("indptr", "indices", "weights"))
        return cls(int(folder.meta["num_items"]), *arrays)
