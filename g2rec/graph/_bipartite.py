"""The user-item graph: both directions in one CSR, each neighbour list sorted by time."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from g2rec.artifacts import Folder, open_folder, save_folder
from g2rec.errors import DataError
from g2rec.graph._pages import enter_pages, may_hold
from g2rec.interactions import Interactions

logger = logging.getLogger(__name__)
KIND = "interaction_graph"
MAX_NODES = 2**31 - 1


@dataclass(frozen=True)
class InteractionGraph:
    """Users and items as nodes of one graph: user u is node u, item i is node ``num_users + i``.

    Every event is an edge in both directions. Row n is ``indices[indptr[n]:indptr[n + 1]]``, oldest event
    first, so "edges before t" is a prefix of the row and costs one binary search. An event that repeats is
    an edge that repeats. Neighbours take 4 bytes; arrays are memory-mapped when the graph is loaded.
    """

    num_users: int
    """U."""
    num_items: int
    """I."""
    indptr: NDArray[np.int64]
    """[N + 1] offsets of the rows."""
    indices: NDArray[np.int32]
    """[E] neighbours, as nodes."""
    times: NDArray[np.int64] | NDArray[np.int32] | None
    """[E] seconds since 1970, rising within a row; None where the events have no times."""
    weights: NDArray[np.float32] | None = None
    """[E] positive; None where all edges count the same."""

    def __post_init__(self) -> None:
        if len(self.indptr) != self.num_nodes + 1 or int(self.indptr[-1]) != len(self.indices):
            raise DataError(
                f"a graph of {self.num_nodes} nodes needs {self.num_nodes + 1} offsets that end at its "
                f"{len(self.indices)} neighbours, got {len(self.indptr)} ending at {self.indptr[-1]}; "
                "build it with InteractionGraph.from_events"
            )
        if self.times is not None and len(self.times) != len(self.indices):
            raise DataError(
                f"expected one time per neighbour, got {len(self.times)} for {len(self.indices)}; "
                "build the graph with InteractionGraph.from_events"
            )
        if self.weights is not None and len(self.weights) != len(self.indices):
            raise DataError(
                f"expected one weight per neighbour, got {len(self.weights)} for {len(self.indices)}; "
                "build the graph with InteractionGraph.from_events"
            )

    @classmethod
    def from_events(
        cls,
        num_users: int,
        num_items: int,
        user_index: NDArray[Any],
        item_index: NDArray[Any],
        time: NDArray[Any] | None = None,
        weight: NDArray[Any] | None = None,
    ) -> Self:
        """Build from events.

        Args:
            num_users: U.
            num_items: I.
            user_index: [M], in [0, U).
            item_index: [M], in [0, I).
            time: [M] seconds, kept as int32 if given so, else int64; without it a row keeps the order of the
                events given.
            weight: [M], positive.

        Raises:
            DataError: If columns differ in length, an index is out of range or a weight is not positive.
        """
        columns = {"users": user_index, "items": item_index, "times": time, "weights": weight}
        lengths = {name: len(column) for name, column in columns.items() if column is not None}
        if len(set(lengths.values())) > 1:
            raise DataError(
                "event columns must have one length, got "
                f"{' and '.join(f'{size} {name}' for name, size in lengths.items())}; pass one row an event"
            )
        if weight is not None and not (np.asarray(weight) > 0).all():
            raise DataError(
                f"weights must be positive, got {np.nanmin(weight)} or a missing one; drop such events"
            )
        if num_users + num_items > MAX_NODES:
            raise DataError(
                f"neighbours are int32, so a graph holds at most {MAX_NODES} nodes, "
                f"got {num_users + num_items}; split the graph"
            )
        for name, index, size in (("user", user_index, num_users), ("item", item_index, num_items)):
            if len(index) and not 0 <= int(index.min()) <= int(index.max()) < size:
                raise DataError(
                    f"{name}_index must lie in [0, {size}), got {index.min()} to {index.max()}; "
                    "map the ids first"
                )
        users = np.asarray(user_index, dtype=np.int64)
        items = np.asarray(item_index, dtype=np.int64)
        when = None if time is None else np.asarray(time)
        if when is not None and when.dtype != np.int32:
            when = when.astype(np.int64)
        by_user = _order(users, when)
        by_item = _order(items, when)
        degrees = np.concatenate(
            (np.bincount(users, minlength=num_users), np.bincount(items, minlength=num_items))
        )
        indptr = np.zeros(num_users + num_items + 1, dtype=np.int64)
        np.cumsum(degrees, out=indptr[1:])
        indices = np.empty(2 * len(users), dtype=np.int32)
        indices[: len(users)] = items[by_user] + num_users
        indices[len(users) :] = users[by_item]
        times = None if when is None else np.concatenate((when[by_user], when[by_item]))
        weights = None
        if weight is not None:
            each = np.asarray(weight, dtype=np.float32)
            weights = np.concatenate((each[by_user], each[by_item]))
        return cls(num_users, num_items, indptr, indices, times, weights)

    @property
    def num_nodes(self) -> int:
        """N = U + I."""
        return self.num_users + self.num_items

    @property
    def num_edges(self) -> int:
        """E: both directions, twice the number of events."""
        return len(self.indices)

    def degrees(self) -> NDArray[np.int64]:
        """Neighbours of every node, [N]."""
        return np.diff(self.indptr)

    def item_degrees(self) -> NDArray[np.int64]:
        """Events of every item, [I]; 0 for items that the graph knows by name alone."""
        return np.diff(self.indptr[self.num_users :])

    def item_node(self, item_index: Any) -> Any:
        """The node of an item, or of an array of items."""
        return item_index + self.num_users

    def row(self, node: int) -> NDArray[np.int32]:
        """Neighbours of a node, oldest event first."""
        return self.indices[self.indptr[node] : self.indptr[node + 1]]

    def save(self, path: Path, *, config: Any = None, made_from: Mapping[str, str] | None = None) -> Folder:
        """Write the graph into a folder."""
        arrays: dict[str, NDArray[Any]] = {"indptr": self.indptr, "indices": self.indices}
        if self.times is not None:
            arrays["times"] = self.times
        if self.weights is not None:
            arrays["weights"] = self.weights
        meta = {"num_users": self.num_users, "num_items": self.num_items}
        return save_folder(path, KIND, arrays=arrays, config=config, made_from=made_from, meta=meta)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        preload: bool | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Open a folder that `save` or `build_from_log` wrote; arrays stay on disk, memory-mapped.

        Opening reads all arrays once from end to end to check their checksums (8 GB in seconds), which also
        brings them into the page cache; their pages are then entered into the process's page tables, so that
        the first batches are sampled as fast as later ones.

        Args:
            path: The folder.
            preload: Enter the pages; by default where the arrays fit into the memory that is free. False
                opens at once: checksums are not looked at and pages come as they are used.
            progress: Called with the bytes read and their total.

        Raises:
            ArtifactError: If the folder is missing, of another kind, or was changed.
        """
        folder = open_folder(path, KIND, verify=preload is not False, progress=progress)
        times = folder.array("times") if folder.has("times.npy") else None
        weights = folder.array("weights") if folder.has("weights.npy") else None
        sizes = int(folder.meta["num_users"]), int(folder.meta["num_items"])
        graph = cls(*sizes, folder.array("indptr"), folder.array("indices"), times, weights)
        arrays: list[NDArray[Any]] = [graph.indptr, graph.indices]
        arrays += [array for array in (times, weights) if array is not None]
        if preload is not False and may_hold(path, arrays, preload):
            for array in arrays:
                enter_pages(array)
        return graph


def build_graph(interactions: Interactions) -> InteractionGraph:
    """The graph of the training events; validation and test events are not in it."""
    events = interactions.train_events()
    graph = InteractionGraph.from_events(
        interactions.num_users, interactions.num_items, events.user_index, events.item_index, events.time
    )
    logger.info("graph: %d nodes, %d edges", graph.num_nodes, graph.num_edges)
    return graph


def _order(group: NDArray[np.int64], time: NDArray[Any] | None) -> NDArray[np.int64]:
    """Rows by group, then time, then as given."""
    return np.argsort(group, kind="stable") if time is None else np.lexsort((time, group))
