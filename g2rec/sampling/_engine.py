"""What the engines of other libraries share: their results in our form, and what they are not asked."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from g2rec.artifacts import derive_seed
from g2rec.errors import ConfigError
from g2rec.graph import InteractionGraph
from g2rec.sampling._neighbor import check_fanouts, check_seeds
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.shapes import Int, Tensor

_ONE_AT_A_TIME = threading.Lock()
"""Other libraries draw from a generator of the whole process, which a call sets to its key."""


class Drawn(NamedTuple):
    """A sample, in the words of `SampledSubgraph`."""

    nodes: Tensor
    edge_index: Tensor
    nodes_per_hop: list[int]
    edges_per_hop: list[int]
    edge_ids: Tensor | None


class PeerSampler(ABC):
    """Uniform neighbour sampling by another library, behind the interface of `NeighborSampler`.

    For comparison, and for those who trust that library more. Subclasses say what they need.
    """

    library: str

    def __init__(
        self,
        graph: InteractionGraph,
        fanouts: Sequence[int] = (10, 5),
        *,
        replace: bool = False,
        edge_ids: bool = False,
        degrees: bool = True,
        seed: int = 0,
    ) -> None:
        self.graph, self.fanouts, self.replace, self.seed = graph, check_fanouts(fanouts), replace, seed
        self.edge_ids, self.degrees = edge_ids, degrees

    def sample(
        self,
        seeds: Int[Tensor, " S"],
        *,
        key: tuple[int, int] = (0, 0),
        times: Int[Tensor, " S"] | None = None,
        exclude: tuple[Tensor, Tensor] | None = None,
    ) -> SampledSubgraph:
        """Sample around seeds; arguments as in `NeighborSampler.sample`.

        Raises:
            ConfigError: If times or excluded edges are given.
            DataError: If a seed is not a node.
        """
        if times is not None or exclude is not None:
            what = "times" if times is not None else "excluded edges"
            raise ConfigError(
                f"the engine of {self.library} samples without times and excluded edges, got {what}; "
                "use NeighborSampler"
            )
        asked = check_seeds(seeds, self.graph.num_nodes)
        values, first, inverse = np.unique(asked, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        with _ONE_AT_A_TIME:
            drawn = self._draw(torch.from_numpy(values[order]), derive_seed(self.seed, "hop", *key))
        nodes = drawn.nodes.numpy() if self.degrees else np.zeros(0, np.int64)
        degrees = self.graph.indptr[nodes + 1] - self.graph.indptr[nodes]
        return SampledSubgraph(
            nodes=drawn.nodes,
            num_seeds=len(values),
            nodes_per_hop=tuple(drawn.nodes_per_hop),
            edge_index=drawn.edge_index,
            edges_per_hop=tuple(drawn.edges_per_hop),
            seed_index=torch.from_numpy(place[inverse.reshape(-1)]),
            degrees=torch.from_numpy(np.asarray(degrees)),
            edge_ids=drawn.edge_ids if self.edge_ids else None,
        )

    @abstractmethod
    def _draw(self, seeds: Tensor, random_seed: int) -> Drawn:
        """Sample around distinct seeds, with the library's generator set to ``random_seed``."""
