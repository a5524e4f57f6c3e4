"""Where the encoder's training events and co-engaged pairs come from: a prepared log, or a graph alone."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.artifacts import derive_seed
from g2rec.errors import DataError
from g2rec.graph import CoEngagementGraph, InteractionGraph
from g2rec.interactions import Interactions
from g2rec.shapes import Int, Tensor
from g2rec.training.batches import BatchKey


class Links(Protocol):
    """Training events and co-engaged pairs, both a pure function of the batch's key."""

    num_items: int
    counts: NDArray[np.int64]
    """Training events of every item, [I]."""

    def events(self, key: BatchKey) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
        """Users and items of a batch of training events."""

    def pairs(self, key: BatchKey, num_pairs: int) -> tuple[Int[Tensor, " P"], Int[Tensor, " P"]]:
        """Ends of co-engagement edges, drawn with replacement in proportion to their weight."""


class EventLinks:
    """Of a prepared log: the rows of the key, and the edges of its co-engagement graph."""

    def __init__(self, interactions: Interactions, coengagement: CoEngagementGraph, *, seed: int) -> None:
        self.num_items, self.seed = interactions.num_items, seed
        self._events = interactions.train_events()
        if not len(self._events.user_index):
            raise DataError("expected training events, found none; check the split")
        self.counts = np.bincount(self._events.item_index, minlength=self.num_items)
        self._source, self._target, weight = coengagement.edge_list()
        self._cumulative = np.cumsum(weight, dtype=np.float64)

    def __len__(self) -> int:
        return len(self._events.user_index)

    def events(self, key: BatchKey) -> tuple[Tensor, Tensor]:
        """The events of the key's rows."""
        users, items = self._events.user_index[key.rows], self._events.item_index[key.rows]
        return torch.from_numpy(users.astype(np.int64)), torch.from_numpy(items.astype(np.int64))

    def pairs(self, key: BatchKey, num_pairs: int) -> tuple[Tensor, Tensor]:
        """Edges drawn by weight; none where the graph has none."""
        if not len(self._cumulative):
            none = torch.empty(0, dtype=torch.int64)
            return none, none
        rng = np.random.default_rng(derive_seed(self.seed, "edges", key.epoch, key.step))
        edge = np.searchsorted(self._cumulative, rng.random(num_pairs) * self._cumulative[-1], side="right")
        edge = np.minimum(edge, len(self._cumulative) - 1)
        return (
            torch.from_numpy(self._source[edge].astype(np.int64)),
            torch.from_numpy(self._target[edge].astype(np.int64)),
        )


class GraphLinks:
    """Of a graph alone, however large: events drawn uniformly from the users' rows.

    A pair is an event, drawn uniformly, and another of the same user at most ``window`` places away in
    time, drawn uniformly among those. So the edges of this co-engagement graph weigh, for each two events
    of a user within the window, the mean of one over the number of events within the window of either; and
    as edges are drawn in proportion to their weight and each end with half the probability, the mini-batch
    modularity is unbiased for it. Pairs of one item with itself are drawn again.

    Args:
        graph: Read in place, mapped or not.
        window: Places between the two events of a pair, at most.
        seed: With the key, decides the draws.

    Raises:
        DataError: If the graph has no event.
    """

    def __init__(self, graph: InteractionGraph, *, window: int = 10, seed: int = 0) -> None:
        self.num_items, self.window, self.seed = graph.num_items, window, seed
        self._indptr = np.asarray(graph.indptr[: graph.num_users + 1])
        self._indices, self._first = graph.indices, graph.num_users
        self._num_events = int(self._indptr[-1])
        if not self._num_events:
            raise DataError("expected a graph with events, found none; check the log")
        self.counts = np.diff(graph.indptr[graph.num_users :])

    def __len__(self) -> int:
        return self._num_events

    def events(self, key: BatchKey) -> tuple[Tensor, Tensor]:
        """As many events as the key has rows, drawn uniformly."""
        rng = np.random.default_rng(derive_seed(self.seed, "links", key.epoch, key.step))
        event = rng.integers(0, self._num_events, len(key.rows))
        return torch.from_numpy(self._user(event)), torch.from_numpy(self._item(event))

    def pairs(self, key: BatchKey, num_pairs: int) -> tuple[Tensor, Tensor]:
        """Two events of a user near each other; fewer than asked where users have next to none."""
        rng = np.random.default_rng(derive_seed(self.seed, "pairs", key.epoch, key.step))
        found = np.empty((2, 0), np.int64)
        for _ in range(8):
            if found.shape[1] >= num_pairs:
                break
            one = rng.integers(0, self._num_events, 2 * num_pairs)
            user = self._user(one)
            low = np.maximum(self._indptr[user], one - self.window)
            others = np.minimum(self._indptr[user + 1] - 1, one + self.window) - low
            other = low + (rng.random(len(one)) * others).astype(np.int64)
            other += other >= one
            ends = np.stack((one, other))[:, others > 0]
            ends = np.where(rng.random(ends.shape[1]) < 0.5, ends, ends[::-1])
            items = self._item(ends)
            found = np.concatenate((found, items[:, items[0] != items[1]]), axis=1)
        source, target = found[:, :num_pairs]
        return torch.from_numpy(source.copy()), torch.from_numpy(target.copy())

    def _user(self, event: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._indptr, event, side="right") - 1

    def _item(self, event: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._indices[event].astype(np.int64) - self._first
