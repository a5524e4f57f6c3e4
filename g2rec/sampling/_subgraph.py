"""The hand-over of the sampler: a small graph with its own node numbers."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from g2rec.shapes import Float, Int, Tensor


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
    """Neighbours of each node in the whole graph; with times, those before its seed's time. Empty where the
    sampler was told not to look them up."""
    edge_ids: Int[Tensor, " e"] | None = None
    """Position of each edge in ``graph.indices`` (and ``times``, ``weights``), where the sampler gives it."""
    edge_weight: Float[Tensor, " e"] | None = None
    """Importance of each edge, adding up to 1 over the edges of a target; of random walks only."""

    @property
    def num_hops(self) -> int:
        """H."""
        return len(self.edges_per_hop)

    def to(self, device: torch.device | str) -> "SampledSubgraph":
        """The same subgraph on a device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, torch.Tensor)
        }
        return replace(self, **moved)

    def pin_memory(self) -> "SampledSubgraph":
        """The same subgraph in page-locked memory, from which a GPU copies while the CPU goes on."""
        pinned: dict[str, Any] = {
            name: value.pin_memory() for name, value in vars(self).items() if isinstance(value, torch.Tensor)
        }
        return replace(self, **pinned)
