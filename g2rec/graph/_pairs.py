"""Building the co-engagement graph: pairs of a user's items, all of them or an unbiased sample."""

import itertools
import logging
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from g2rec.artifacts import derive_seed
from g2rec.errors import ConfigError
from g2rec.graph._bipartite import InteractionGraph
from g2rec.graph._coengagement import CoEngagementGraph
from g2rec.interactions import Interactions

logger = logging.getLogger(__name__)
_PAIRS = 1 << 22
"""Pairs held at a time, unless one user has more."""


@dataclass(frozen=True, kw_only=True)
class CoEngagementConfig:
    """Which pairs of items are joined, and how strongly."""

    eps: float = 0.5
    """Spectral error that the sample of a user's pairs may have; smaller draws more pairs."""
    delta: float = 0.1
    """Probability that the error is larger."""
    window: int | None = None
    """Join items at most this many places apart in a user's history; none joins all."""
    popularity_correction: bool = False
    """Divide each weight by the root of the product of the two items' users."""
    weighting: Literal["count", "log1p", "binary"] = "count"
    """What a pair's count c becomes: c, log(1 + c), or 1."""
    seed: int = 0
    """Decides which pairs are drawn."""

    def check(self) -> None:
        """Raise `ConfigError` if a value is out of range."""
        if not self.eps > 0:
            raise ConfigError(f"eps must be positive, got {self.eps}; a usual value is 0.5")
        if not 0 < self.delta < 1:
            raise ConfigError(f"delta must lie between 0 and 1, got {self.delta}; a usual value is 0.1")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"window must be at least 1, got {self.window}; leave it out to join all items")
        if self.weighting not in ("count", "log1p", "binary"):
            raise ConfigError(f"weighting must be count, log1p or binary, got {self.weighting}; choose one")

    def num_draws(self, num_items: int) -> float:
        """Draws per item of a history: m_u / N_u = 2 (1 / (3 eps) + 1 / eps^2) log(2 n / delta)."""
        rate = 1 / (3 * self.eps) + 1 / self.eps**2
        return 2 * rate * math.log(2 * max(1, num_items) / self.delta)


def build_coengagement(
    source: Interactions | InteractionGraph, config: CoEngagementConfig | None = None
) -> CoEngagementGraph:
    """Join the items of each user's training history.

    A user with N distinct items has N (N - 1) / 2 pairs (fewer with a window). Where that is more than
    m_u = 2 N (1 / (3 eps) + 1 / eps^2) log(2 n / delta), n the number of items, m_u pairs are drawn with
    replacement, each counting pairs / m_u, so that the expected graph is the full one; M events then make
    O(M log n) pairs instead of sum N^2 (G2Rec, arXiv 2606.20554). Unbiasedness is of the counts: ``log1p``
    and ``binary`` are taken of the sampled counts.

    Raises:
        ConfigError: If a setting is out of range.
    """
    config = config or CoEngagementConfig()
    config.check()
    if isinstance(source, InteractionGraph):
        indptr = np.asarray(source.indptr[: source.num_users + 1])
        items = np.asarray(source.indices[: indptr[-1]]).astype(np.int64) - source.num_users
    else:
        sequences = source.train_sequences()
        indptr, items = np.asarray(sequences.indptr), np.asarray(sequences.item_index)
    indptr, items = _distinct(indptr, items)
    num_items = source.num_items
    lengths = np.diff(indptr)
    window = np.minimum(lengths - 1 if config.window is None else config.window, lengths - 1).clip(0)
    pairs = window * (window + 1) // 2 + (lengths - 1 - window).clip(0) * window
    wanted = np.ceil(lengths * config.num_draws(num_items)).astype(np.int64)
    draws = np.minimum(pairs, wanted)
    rng = np.random.default_rng(derive_seed(config.seed, "coengagement"))
    counts = csr_matrix((num_items, num_items), dtype=np.float64)
    for users in _chunks(draws):
        user = np.repeat(np.arange(users.start, users.stop), draws[users])
        place = np.arange(len(user)) - np.repeat(np.cumsum(draws[users]) - draws[users], draws[users])
        drawn = draws[user] < pairs[user]
        place[drawn] = rng.integers(0, pairs[user[drawn]])
        early, late = _unrank(place, window[user])
        a, b = items[indptr[user] + early], items[indptr[user] + late]
        weight = pairs[user] / draws[user]
        counts += csr_matrix((weight, (np.minimum(a, b), np.maximum(a, b))), shape=counts.shape)
    popularity = np.bincount(items, minlength=num_items)
    graph = _finish(counts, popularity, config)
    logger.info("co-engagement: %d items, %d edges, %d pairs", num_items, graph.num_edges, draws.sum())
    return graph


def _distinct(indptr: NDArray[Any], items: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Histories with only the first event of each item."""
    user = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    order = np.lexsort((np.arange(len(items)), items, user))
    first = np.ones(len(items), dtype=bool)
    first[1:] = (items[order][1:] != items[order][:-1]) | (user[order][1:] != user[order][:-1])
    keep = np.sort(order[first])
    lengths = np.bincount(user[keep], minlength=len(indptr) - 1)
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64), items[keep].astype(np.int64)


def _unrank(
    rank: NDArray[np.int64], window: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places (early, late) of a numbered pair, at most ``window`` apart.

    Late places 1..window have as many partners as their number, a triangle; later ones have ``window``.
    """
    triangle = window * (window + 1) // 2
    late = ((1 + np.sqrt(1.0 + 8.0 * rank)) / 2).astype(np.int64)
    late -= late * (late - 1) // 2 > rank  # the root of a large number may round up
    late += (late + 1) * late // 2 <= rank
    early = rank - late * (late - 1) // 2
    beyond = rank >= triangle
    rest = (rank - triangle)[beyond]
    late[beyond] = window[beyond] + 1 + rest // window[beyond]
    early[beyond] = late[beyond] - 1 - rest % window[beyond]
    return early, late


def _chunks(draws: NDArray[np.int64]) -> list[slice]:
    """Runs of users with about ``_PAIRS`` pairs each."""
    total = np.concatenate(([0], np.cumsum(draws)))
    cuts = np.searchsorted(total, np.arange(_PAIRS, int(total[-1]), _PAIRS))
    bounds = np.unique(np.concatenate(([0], cuts, [len(draws)])))
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(bounds)]


def _finish(counts: csr_matrix, popularity: NDArray[Any], config: CoEngagementConfig) -> CoEngagementGraph:
    upper = counts.tocoo()
    weight = upper.data
    if config.weighting == "log1p":
        weight = np.log1p(weight)
    elif config.weighting == "binary":
        weight = np.ones_like(weight)
    if config.popularity_correction:
        weight = weight / np.sqrt(popularity[upper.row].astype(np.float64) * popularity[upper.col])
    half = csr_matrix((weight, (upper.row, upper.col)), shape=counts.shape)
    both = (half + half.T).tocsr()
    both.sort_indices()
    return CoEngagementGraph(
        counts.shape[0],
        both.indptr.astype(np.int64),
        both.indices.astype(np.int32),
        both.data.astype(np.float32),
    )
