"""Co-engaged pairs for a batch, and which other combinations in it are co-engaged too."""

import numpy as np
import torch

from g2rec.graph import CoEngagementGraph
from g2rec.shapes import Bool, Int, Tensor


class PairSampler:
    """Draws directed edges of the co-engagement graph with replacement, proportional to weight."""

    def __init__(self, graph: CoEngagementGraph) -> None:
        source, target, weight = graph.edge_list()
        self.num_items = graph.num_items
        self.source = np.asarray(source, dtype=np.int64)
        self.target = np.asarray(target, dtype=np.int64)
        self.keys = np.sort(self.source * graph.num_items + self.target)
        """``source * num_items + target`` of every edge, rising; see `batch_positives`."""
        self._cumulative = np.cumsum(weight, dtype=np.float64)

    def draw(self, num_pairs: int, rng: np.random.Generator) -> tuple[Int[Tensor, " P"], Int[Tensor, " P"]]:
        """(source, target) items of ``num_pairs`` edges; none if the graph has no edges."""
        if not len(self.source):
            return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
        mass = rng.random(num_pairs) * self._cumulative[-1]
        place = np.searchsorted(self._cumulative, mass, side="right").clip(max=len(self.source) - 1)
        return torch.from_numpy(self.source[place]), torch.from_numpy(self.target[place])


def batch_positives(
    source: Int[Tensor, " B"], target: Int[Tensor, " B"], edge_keys: Int[Tensor, " E"], num_items: int
) -> Bool[Tensor, "B B"]:
    """Which (source, target) combinations of a batch are co-engaged or identical.

    Args:
        source: Item indices of first ends.
        target: Item indices of second ends.
        edge_keys: Sorted ``source * num_items + target`` of every directed edge.
        num_items: I.
    """
    same = source.unsqueeze(1) == target.unsqueeze(0)
    if not len(edge_keys):
        return same
    keys = source.unsqueeze(1) * num_items + target.unsqueeze(0)
    place = torch.searchsorted(edge_keys, keys).clamp_max(len(edge_keys) - 1)
    return (edge_keys[place] == keys) | same
