"""Uniform and temporal neighbour sampling."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from g2rec.artifacts import derive_seed
from g2rec.errors import ConfigError, DataError
from g2rec.graph import InteractionGraph
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.shapes import Int, Tensor


class NeighborSampler:
    """Samples neighbours hop by hop (GraphSAGE, Hamilton et al. 2017, https://arxiv.org/abs/1706.02216).

    What is drawn depends on (seed, key, hop, node, draw) only: the same for any number of threads
    (``numba.set_num_threads``), and for a node whatever else is in the batch.

    Args:
        graph: The graph; its arrays are read in place, memory-mapped or not.
        fanouts: Neighbours drawn per node in each hop; -1 takes all.
        replace: Draw with replacement; then a node with neighbours gets exactly its fan-out.
        seed: Part of every random number.

    Raises:
        ConfigError: If there is no fan-out, or one below -1.
    """

    def __init__(
        self,
        graph: InteractionGraph,
        fanouts: Sequence[int] = (10, 5),
        *,
        replace: bool = False,
        seed: int = 0,
    ) -> None:
        if not fanouts or min(fanouts) < -1:
            raise ConfigError(
                f"fanouts must be one number a hop, each at least -1 (all neighbours), got {tuple(fanouts)}; "
                "a usual value is (10, 5)"
            )
        self.graph, self.fanouts, self.replace, self.seed = graph, tuple(fanouts), replace, seed
        # One specialisation of the kernels, whether arrays are in memory or memory-mapped read-only.
        self._indptr = _read_only(graph.indptr)
        self._indices = _read_only(graph.indices)
        self._times = _read_only(np.zeros(0, np.int64) if graph.times is None else graph.times)

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
        wanted = seeds.detach().cpu().numpy().astype(np.int64)
        if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < self.graph.num_nodes:
            raise DataError(
                f"seeds must be nodes in [0, {self.graph.num_nodes}), got {wanted.min()} to {wanted.max()}; "
                "item i is node num_users + i (graph.item_node)"
            )
        if times is None:
            first, inverse = _unique_in_order(wanted)
            trees, tree_cuts = np.zeros(len(first), np.int64), np.zeros(0, np.int64)
        else:
            if self.graph.times is None:
                raise DataError("temporal sampling needs a graph with times, this one has none; drop times=")
            if len(times) != len(wanted):
                raise DataError(
                    f"expected one time per seed, got {len(times)} for {len(wanted)}; pass them together"
                )
            first, inverse = wanted, np.arange(len(wanted), dtype=np.int64)
            trees, tree_cuts = inverse.copy(), times.detach().cpu().numpy().astype(np.int64)
        return self._expand(first, inverse, trees, tree_cuts, key, self._excluded(exclude))

    def _expand(
        self,
        nodes: NDArray[np.int64],
        seed_index: NDArray[np.int64],
        trees: NDArray[np.int64],
        tree_cuts: NDArray[np.int64],
        key: tuple[int, int],
        excluded: NDArray[np.int64],
    ) -> SampledSubgraph:
        from g2rec.sampling import _kernels  # importing numba takes half a second, compiling more

        num_seeds = len(nodes)
        start = 0
        nodes_per_hop: list[int] = [num_seeds]
        edges_per_hop: list[int] = []
        sources: list[NDArray[np.int64]] = []
        targets: list[NDArray[np.int64]] = []
        ends: list[NDArray[np.int64]] = []
        for hop, fanout in enumerate(self.fanouts):
            frontier = nodes[start:]
            end = self._ends(frontier, trees[start:], tree_cuts)
            ends.append(end)
            degree = end - self._indptr[frontier]
            if fanout < 0:
                room = degree
            elif self.replace:
                room = np.where(degree > 0, fanout, 0)
            else:
                room = np.minimum(degree, fanout)
            offsets = np.concatenate(([0], np.cumsum(room))).astype(np.int64)
            drawn = np.empty(int(offsets[-1]), dtype=np.int32)
            got = np.zeros(len(frontier), dtype=np.int64)
            hop_key = np.uint64(
                derive_seed(self.seed, "hop", *key, hop) << 32 | derive_seed(self.seed, hop, *key)
            )
            _kernels.sample_rows(
                self._indptr,
                self._indices,
                frontier,
                trees[start:],
                end,
                excluded,
                fanout,
                self.replace,
                hop_key,
                offsets,
                drawn,
                got,
            )
            known = len(nodes)
            nodes = np.concatenate((nodes, np.zeros(len(drawn), np.int64)))
            trees = np.concatenate((trees, np.zeros(len(drawn), np.int64)))
            source, target = np.empty((2, len(drawn)), dtype=np.int64)
            count, edges = _kernels.relabel(
                nodes, trees, known, start, offsets, got, drawn, self.graph.num_nodes, source, target
            )
            nodes, trees, start = nodes[:count], trees[:count], known
            sources.append(source[:edges])
            targets.append(target[:edges])
            nodes_per_hop.append(int(count))
            edges_per_hop.append(int(edges) + (edges_per_hop[-1] if edges_per_hop else 0))
        ends.append(self._ends(nodes[start:], trees[start:], tree_cuts))
        return SampledSubgraph(
            nodes=torch.from_numpy(nodes.copy()),
            num_seeds=num_seeds,
            nodes_per_hop=tuple(nodes_per_hop),
            edge_index=torch.from_numpy(np.stack((np.concatenate(sources), np.concatenate(targets)))),
            edges_per_hop=tuple(edges_per_hop),
            seed_index=torch.from_numpy(seed_index),
            degrees=torch.from_numpy(np.concatenate(ends) - self._indptr[nodes]),
        )

    def _ends(
        self, nodes: NDArray[np.int64], trees: NDArray[np.int64], tree_cuts: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        if not len(tree_cuts):
            return np.asarray(self._indptr[nodes + 1])
        from g2rec.sampling import _kernels

        ends = np.empty(len(nodes), dtype=np.int64)
        _kernels.row_ends(self._indptr, self._times, nodes, tree_cuts[trees], ends)
        return ends

    def _excluded(self, exclude: tuple[Tensor, Tensor] | None) -> NDArray[np.int64]:
        """Both directions as sorted numbers ``node * N + neighbour``."""
        if exclude is None:
            return np.zeros(0, np.int64)
        a, b = (side.detach().cpu().numpy().astype(np.int64) for side in exclude)
        size = self.graph.num_nodes
        return np.unique(np.concatenate((a * size + b, b * size + a)))


def _unique_in_order(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct values in the order of their first occurrence, and where each value is among them."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return values[first[order]], rank[inverse.reshape(-1)]


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = np.ascontiguousarray(array).view(np.ndarray)
    view = view[:]
    view.flags.writeable = False
    return view
