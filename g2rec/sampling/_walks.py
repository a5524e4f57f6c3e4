"""Important neighbours by random walks (PinSage)."""

from collections.abc import Sequence

import numpy as np
import torch

from g2rec.errors import ConfigError
from g2rec.graph import InteractionGraph
from g2rec.sampling._neighbor import NO_TIMES, check_seeds, check_times, excluded_pairs, read_only
from g2rec.sampling._random import hop_key
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.shapes import Int, Tensor


class PinSageSampler:
    """The neighbours that short random walks visit most (Ying et al. 2018, https://arxiv.org/abs/1806.01973).

    From each node ``num_walks`` walks take up to ``walk_length`` steps, each to the other side of the graph
    and back (item, user, item), and end after a step with probability ``restart``. The most visited nodes
    are its neighbours, ``edge_weight`` their share of the visits to those chosen. So an edge joins two items
    or two users, and is not an edge of the graph.

    Args:
        graph: The graph; its arrays are read in place.
        fanouts: Neighbours kept per node in each hop.
        num_walks: Walks from each node.
        walk_length: Most steps of a walk.
        restart: Probability that a walk ends after a step.
        seed: Part of every random number.

    Raises:
        ConfigError: If a number is out of range.
    """

    def __init__(
        self,
        graph: InteractionGraph,
        fanouts: Sequence[int] = (10, 5),
        *,
        num_walks: int = 20,
        walk_length: int = 2,
        restart: float = 0.5,
        seed: int = 0,
    ) -> None:
        if not fanouts or min(fanouts) < 1 or num_walks < 1 or walk_length < 1 or not 0 <= restart < 1:
            raise ConfigError(
                "fanouts, num_walks and walk_length must be at least 1 and restart in [0, 1), got "
                f"{tuple(fanouts)}, {num_walks}, {walk_length} and {restart}; usual: (10, 5), 20, 2, 0.5"
            )
        self.graph, self.fanouts, self.seed = graph, tuple(fanouts), seed
        self.num_walks, self.walk_length, self.restart = num_walks, walk_length, restart
        self._indptr, self._indices = read_only(graph.indptr), read_only(graph.indices)
        self._times = NO_TIMES if graph.times is None else read_only(graph.times)

    def sample(
        self,
        seeds: Int[Tensor, " S"],
        *,
        key: tuple[int, int] = (0, 0),
        times: Int[Tensor, " S"] | None = None,
        exclude: tuple[Tensor, Tensor] | None = None,
    ) -> SampledSubgraph:
        """Walk from the seeds, then from what they found; arguments as in `NeighborSampler.sample`.

        With times, a walk takes only edges strictly before its seed's own time; excluded edges are not taken.

        Raises:
            DataError: If a seed is not a node, or times are asked of a graph that has none.
        """
        from g2rec.sampling import _walk_kernel

        nodes = check_seeds(seeds, self.graph.num_nodes)
        cuts = None if times is None else check_times(times, len(nodes), self.graph.times is not None)
        keys = [hop_key(self.seed, key, hop) for hop in range(len(self.fanouts))]
        found, seed_index, edge_index, degrees, shares, nodes_per_hop, edges_per_hop = (
            _walk_kernel.walk_batch(
                self._indptr,
                self._indices,
                self._times,
                nodes,
                cuts,
                *excluded_pairs(exclude),
                np.array(self.fanouts, np.int64),
                np.array(keys, np.uint64),
                self.num_walks,
                self.walk_length,
                self.restart,
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
            edge_weight=torch.from_numpy(shares),
        )
