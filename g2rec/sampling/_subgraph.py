"""The hand-over of the sampler: a small graph with its own node numbers."""

from dataclasses import dataclass

import torch

from g2rec.shapes import Int, Tensor


@dataclass(frozen=True)
class SampledSubgraph:
    """Nodes around some seeds, each expanded once (the layout of PyG's neighbour loader).

    An encoder of H layers needs, for layer l, the outputs of ``nodes_per_hop[H - l]`` nodes from the first
    ``edges_per_hop[H - l]`` edges, so later layers work on shrinking prefixes.
    """

    nodes: Int[Tensor, " n"]
    """Nodes of the whole graph: distinct seeds in their order, then by discovery. With times, every seed
    has a subtree of its own and a node may occur in several."""
    num_seeds: int
    """Seeds among ``nodes``."""
    nodes_per_hop: tuple[int, ...]
    """Nodes known after 0, 1, .., H hops."""
    edge_index: Int[Tensor, "2 e"]
    """(neighbour, node that it was sampled for), as positions in ``nodes``; edges of the first hop first."""
    edges_per_hop: tuple[int, ...]
    """Edges known after 1, .., H hops."""
    seed_index: Int[Tensor, " S"]
    """Position in ``nodes`` of every seed that was asked for."""
    degrees: Int[Tensor, " n"]
    """Neighbours of each node in the whole graph; with times, those before its seed's time."""

    @property
    def num_hops(self) -> int:
        """H."""
        return len(self.edges_per_hop)

    def to(self, device: torch.device | str) -> "SampledSubgraph":
        """The same subgraph on a device."""
        return SampledSubgraph(
            self.nodes.to(device),
            self.num_seeds,
            self.nodes_per_hop,
            self.edge_index.to(device),
            self.edges_per_hop,
            self.seed_index.to(device),
            self.degrees.to(device),
        )
