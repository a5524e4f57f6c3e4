"""Building the co-engagement graph: pairs of a user's items, all of them or an unbiased sample."""

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from g2rec.artifacts import check_replaceable, derive_seed, disk_error
from g2rec.errors import ConfigError
from g2rec.graph._bipartite import InteractionGraph
from g2rec.graph._build_config import GraphBuildConfig, room
from g2rec.graph._coengagement import CoEngagementGraph
from g2rec.graph._pages import leave_pages
from g2rec.graph._pairs_kernels import distinct_rows, emit_pairs
from g2rec.graph._pairs_runs import RECORD, PairCounter, merge_runs
from g2rec.graph._pairs_write import GraphFiles, GraphInMemory
from g2rec.interactions import Interactions

logger = logging.getLogger(__name__)
Progress = Callable[[str, int, int], None]
_EVENTS = 1 << 20
"""Events read at a time, unless one user has more."""


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
    source: Interactions | InteractionGraph,
    config: CoEngagementConfig | None = None,
    *,
    out: Path | None = None,
    memory: int | str = "8GiB",
    made_from: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> CoEngagementGraph:
    """Join the items of each user's training history.

    A user with N distinct items has N (N - 1) / 2 pairs (fewer with a window). Where that is more than
    m_u = 2 N (1 / (3 eps) + 1 / eps^2) log(2 n / delta), n the number of items, m_u pairs are drawn with
    replacement, each counting pairs / m_u, so that the expected graph is the full one; M events then make
    O(M log n) pairs instead of sum N^2 (G2Rec, arXiv 2606.20554). Unbiasedness is of the counts: ``log1p``
    and ``binary`` are taken of the sampled counts, and the popularity correction divides what they give by
    sqrt(U_i U_j), U_i the users of item i.

    Pairs are counted as sorted runs, a million events of users at a time. What a user draws depends on the
    seed and the user alone, and counts are added as whole multiples of 2^-24: the graph is the same for
    any memory, and for interactions and the graph built from them.

    Args:
        source: Interactions, whose training events count; or a graph of users and items, mapped from disk
            or not, all of whose events count, in the order of its rows. Weights of events are not used.
        config: Settings.
        out: A folder to write the graph to, whole or not at all; runs that do not fit into the memory are
            kept in a hidden folder beside it while it is built. Without it all is done in memory.
        memory: With ``out``: what the whole process may hold, in bytes or as 8GiB or 500MB.
        made_from: With ``out``: content hashes to keep in the folder's manifest, by kind.
        progress: Called with the name of a step, what is done and the total.

    Raises:
        ConfigError: If a setting is out of range, or the memory too small for anything.
        ArtifactError: If the disk refuses a write, or something stands at ``out`` that g2rec did not write.
    """
    config = config or CoEngagementConfig()
    config.check()
    if out is not None:
        check_replaceable(out)
    say = progress or (lambda step, done, total: None)
    start = time.monotonic()
    histories = _Histories.of(source)
    if out is not None and isinstance(source, InteractionGraph):
        for array in (source.indptr, source.indices, source.times, source.weights):
            leave_pages(array)
    if out is None:
        graph = _build(histories, config, None, say)
    else:
        work = out.absolute().with_name(f".{out.name}.building")
        shutil.rmtree(work, ignore_errors=True)
        try:
            graph = _build(histories, config, _Folder(out.absolute(), work, memory, made_from), say)
        except OSError as error:
            raise disk_error(out, error) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    seconds = time.monotonic() - start
    logger.info("co-engagement: %d items, %d edges, %.1f s", graph.num_items, graph.num_edges, seconds)
    return graph


class _Folder(NamedTuple):
    """Where a graph is written to, and with what."""

    out: Path
    work: Path
    memory: int | str
    made_from: Mapping[str, str] | None


class _Histories(NamedTuple):
    """Rows of items, oldest first, one a user."""

    num_items: int
    indptr: NDArray[np.int64]
    """[S + 1]."""
    nodes: NDArray[np.int32]
    """Items, plus ``shift``."""
    shift: int
    users: NDArray[np.int64] | None
    """[S] number of each row's user; None where a row's own number is it."""

    @classmethod
    def of(cls, source: Interactions | InteractionGraph) -> "_Histories":
        if isinstance(source, InteractionGraph):
            indptr = source.indptr[: source.num_users + 1]
            return cls(source.num_items, indptr, source.indices, source.num_users, None)
        rows = source.train_sequences()
        users = np.asarray(rows.user_index, dtype=np.int64)
        return cls(source.num_items, np.asarray(rows.indptr), np.asarray(rows.item_index), 0, users)

    def longest(self) -> int:
        """Events of the longest row."""
        return max(
            (int(np.diff(self.indptr[low : high + 1]).max()) for low, high in self._parts()), default=0
        )

    def chunks(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]]:
        """Some rows after the other: the number of the first, offsets, items plus shift, users."""
        for low, high in self._parts():
            bounds = np.array(self.indptr[low : high + 1], dtype=np.int64)
            nodes = np.array(self.nodes[bounds[0] : bounds[-1]], dtype=np.int32)
            users = np.arange(low, high) if self.users is None else self.users[low:high]
            yield low, bounds - bounds[0], nodes, users.astype(np.int64)
            for array in (self.indptr, self.nodes):
                leave_pages(array)

    def _parts(self) -> Iterator[tuple[int, int]]:
        low, last = 0, len(self.indptr) - 1
        while low < last:
            most = int(np.searchsorted(self.indptr, self.indptr[low] + _EVENTS, side="right")) - 1
            high = min(max(most, low + 1), low + _EVENTS, last)
            yield low, high
            low = high


def _build(
    histories: _Histories, config: CoEngagementConfig, folder: _Folder | None, say: Progress
) -> CoEngagementGraph:
    num_items = histories.num_items
    budget = None
    if folder is not None:
        fixed = 48 * num_items + 24 * max(_EVENTS, histories.longest())
        budget = room(GraphBuildConfig(memory=folder.memory), fixed)
    popularity = np.zeros(num_items, dtype=np.int64)
    counter = PairCounter(num_items, budget and budget // RECORD, folder and folder.work)
    try:
        _count(histories, config, counter, popularity, say)
        runs = counter.finish()
        arrays: GraphInMemory | GraphFiles
        if folder is None:
            arrays = GraphInMemory(num_items, sum(run.length for run in runs))
        else:
            arrays = GraphFiles(
                num_items, folder.work / "graph", folder.out, config=config, made_from=folder.made_from
            )
        root = popularity if config.popularity_correction else popularity[:0]
        weighting = ("count", "log1p", "binary").index(config.weighting)
        with arrays:
            for keys, values in merge_runs(runs, budget, lambda *done: say("co-engagement edges", *done)):
                arrays.append(keys, values, weighting, root)
            return arrays.finish()
    finally:
        counter.close()


def _count(
    histories: _Histories, config: CoEngagementConfig, counter: PairCounter, popularity: NDArray[np.int64],
    say: Progress,
) -> None:  # fmt: skip
    """Count the pairs of all users, and the users of each item."""
    num_items = histories.num_items
    stamp = np.zeros(num_items, dtype=np.int32)
    name = derive_seed(config.seed, "coengagement"), derive_seed("coengagement", config.seed)
    seed = np.uint64(name[0] << 32 | name[1])
    window = np.iinfo(np.int32).max if config.window is None else config.window
    rate = config.num_draws(num_items)
    total = int(histories.indptr[-1])
    for first, bounds, nodes, users in histories.chunks():
        items = np.empty(len(nodes), dtype=np.int32)
        ends = np.empty(len(bounds), dtype=np.int64)
        distinct_rows(bounds, nodes, histories.shift, first, stamp, popularity, items, ends)
        row = done = 0
        while row < len(users):
            counter.fill, row, done = emit_pairs(
                *counter.room, counter.fill, items, ends, users, seed, window, rate, num_items, row, done
            )
            if row < len(users):
                counter.make_room()
        say("pairs of items", int(histories.indptr[first + len(users)]), total)
