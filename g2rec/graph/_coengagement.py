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

KIND = "coengagement_graph"
_EDGES = 1 << 22
"""Edges looked at a time."""


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
        total = np.zeros(self.num_items, dtype=np.float64)
        low = 0
        while low < self.num_items:
            begin = int(self.indptr[low])
            high = max(low + 1, int(np.searchsorted(self.indptr, begin + _EDGES, side="right")) - 1)
            row = np.repeat(np.arange(high - low), np.diff(self.indptr[low : high + 1]))
            part = self.weights[begin : int(self.indptr[high])]
            total[low:high] = np.bincount(row, weights=part, minlength=high - low)
            low = high
        return total

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
        return save_folder(path, KIND, arrays=arrays, config=config, made_from=made_from, meta=meta)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Open a folder that `save` or `build_coengagement` wrote; arrays stay on disk, memory-mapped."""
        return cls.of_folder(open_folder(path, KIND))

    @classmethod
    def of_folder(cls, folder: Folder) -> Self:
        """From an opened folder."""
        arrays = (folder.array(name) for name in ("indptr", "indices", "weights"))
        return cls(int(folder.meta["num_items"]), *arrays)
