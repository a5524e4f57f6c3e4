"""Neighbour sampling on the CPU: uniform, weighted, temporal, with or without replacement."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.errors import ConfigError, DataError
from g2rec.graph import InteractionGraph
from g2rec.sampling._random import hop_key
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.shapes import Int, Tensor


class NeighborSampler:
    """Samples neighbours hop by hop (GraphSAGE, Hamilton et al. 2017, https://arxiv.org/abs/1706.02216).

    What is drawn depends on (seed, key, hop, node, draw) only: the same on any thread, and for a node
    whatever else is in the batch. A call uses one core and holds no lock: to use more, sample several
    batches at once from threads (`prefetch`); they share the graph, mapped or not, and nothing is copied.

    Args:
        graph: The graph; its arrays are read in place.
        fanouts: Neighbours drawn per node in each hop; -1 takes all.
        replace: Draw with replacement; then a node with neighbours gets exactly its fan-out.
        weighted: Draw in proportion to the graph's weights: one after another, each among those that
            remain (without replacement, the first draws of Efraimidis and Spirakis 2006).
        edge_ids: Also give the position of each sampled edge in ``graph.indices``.
        degrees: Also give the degree of every node; without it, `SampledSubgraph.degrees` is empty, and the
            nodes of the last hop are not looked up.
        seed: Part of every random number.

    Raises:
        ConfigError: If there is no fan-out, or one below -1.
        DataError: If ``weighted`` is asked of a graph without weights.
    """

    def __init__(
        self,
        graph: InteractionGraph,
        fanouts: Sequence[int] = (10, 5),
        *,
        replace: bool = False,
        weighted: bool = False,
        edge_ids: bool = False,
        degrees: bool = True,
        seed: int = 0,
    ) -> None:
        self.graph, self.fanouts, self.replace, self.seed = graph, check_fanouts(fanouts), replace, seed
        self.weighted, self.edge_ids, self.degrees = weighted, edge_ids, degrees
        # One specialisation of the kernels, whether arrays are in memory or memory-mapped read-only.
        self._indptr, self._indices = read_only(graph.indptr), read_only(graph.indices)
        self._times = None if graph.times is None else read_only(graph.times)
        self._weights, self._heaviest = _no_weights(), _no_weights()
        if weighted:
            if graph.weights is None:
                raise DataError(
                    "weighted sampling needs a graph with weights, this one has none; drop weighted="
                )
            from g2rec.sampling import _kernels

            self._weights = read_only(graph.weights)
            self._heaviest = read_only(_kernels.row_maxima(self._indptr, self._weights, 0, graph.num_nodes))
        self._local = threading.local()

    def sample(
        self,
        seeds: Int[Tensor, " S"],
        *,
        key: tuple[int, int] = (0, 0),
        times: Int[Tensor, " S"] | None = None,
        exclude: tuple[Tensor, Tensor] | None = None,
    ) -> SampledSubgraph:
        """Sample around seeds.

        Args:
            seeds: Nodes, which may repeat.
            key: (epoch, step); another key draws other neighbours.
            times: Seconds; each seed sees only edges strictly before its own time, in a subtree of its own.
            exclude: Pairs of nodes whose edges, in both directions, are not sampled.

        Raises:
            DataError: If a seed is not a node, or times are asked of a graph that has none.
        """
        from g2rec.sampling import _kernels  # importing numba takes half a second, compiling more

        nodes = check_seeds(seeds, self.graph.num_nodes)
        cuts, when = None, NO_TIMES
        if times is not None:
            cuts = check_times(times, len(nodes), self._times is not None)
            assert self._times is not None
            when = self._times
        keys = np.array([hop_key(self.seed, key, hop) for hop in range(len(self.fanouts))], np.uint64)
        workspace = getattr(self._local, "workspace", None) or _workspace()
        found, seed_index, edge_index, degrees, ids, nodes_per_hop, edges_per_hop, self._local.workspace = (
            _kernels.sample_batch(
                self._indptr,
                self._indices,
                when,
                self._weights,
                self._heaviest,
                nodes,
                cuts,
                *excluded_pairs(exclude),
                np.array(self.fanouts, np.int64),
                keys,
                self.replace,
                self.degrees,
                True if self.edge_ids else None,
                workspace,
            )
        )
        return SampledSubgraph(
            nodes=torch.from_numpy(found),
            num_seeds=int(nodes_per_hop[0]),
            nodes_per_hop=tuple(nodes_per_hop.tolist()),
            edge_index=torch.from_numpy(edge_index),
            edges_per_hop=tuple(edges_per_hop[1:].tolist()),
            seed_index=torch.from_numpy(seed_index),
            degrees=torch.from_numpy(degrees),
            edge_ids=torch.from_numpy(ids) if self.edge_ids else None,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the threads' workspaces."""
        return {key: value for key, value in vars(self).items() if key != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _local=threading.local())


def check_fanouts(fanouts: Sequence[int]) -> tuple[int, ...]:
    """The fan-outs, or a `ConfigError`."""
    if not fanouts or min(fanouts) < -1:
        raise ConfigError(
            f"fanouts must be one number a hop, each at least -1 (all neighbours), got {tuple(fanouts)}; "
            "a usual value is (10, 5)"
        )
    return tuple(fanouts)


def check_seeds(seeds: Tensor, num_nodes: int) -> NDArray[np.int64]:
    """The seeds as an array, or a `DataError` if one is not a node."""
    nodes = np.ascontiguousarray(seeds.detach().cpu().numpy(), dtype=np.int64)
    if len(nodes) and not 0 <= int(nodes.min()) <= int(nodes.max()) < num_nodes:
        raise DataError(
            f"seeds must be nodes in [0, {num_nodes}), got {nodes.min()} to {nodes.max()}; "
            "item i is node num_users + i (graph.item_node)"
        )
    return nodes


def check_times(times: Tensor, num_seeds: int, has_times: bool) -> NDArray[np.int64]:
    """The seeds' times as an array, or a `DataError`."""
    if not has_times:
        raise DataError("temporal sampling needs a graph with times, this one has none; drop times=")
    if len(times) != num_seeds:
        raise DataError(f"expected one time per seed, got {len(times)} for {num_seeds}; pass them together")
    return np.ascontiguousarray(times.detach().cpu().numpy(), dtype=np.int64)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A plain read-only view, so that the kernels are compiled for one type of array."""
    view = np.ascontiguousarray(array).view(np.ndarray)[:]
    view.flags.writeable = False
    return view


def excluded_pairs(exclude: tuple[Tensor, Tensor] | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both directions as (node, neighbour), sorted."""
    if exclude is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    a, b = (side.detach().cpu().numpy().astype(np.int64) for side in exclude)
    pairs = np.sort(np.concatenate((a << 32 | b, b << 32 | a)))
    return pairs >> 32, pairs & 0xFFFFFFFF


NO_TIMES = read_only(np.zeros(0, np.int64))


def _no_weights() -> NDArray[Any]:
    return read_only(np.zeros(0, np.float32))


def _workspace() -> tuple[NDArray[Any], ...]:
    """Arrays that the kernel grows and uses again: see its first line."""
    kinds = "int64 int32 int32 int64 int64 int32 int32 int64 float64"
    return tuple(np.empty(16, kind) for kind in kinds.split())
