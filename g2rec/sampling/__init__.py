"""Neighbour sampling that depends on its key and not on threads, and negative items."""

from g2rec.sampling._negatives import Negatives, NegativeSampler, NegativeSamplerConfig
from g2rec.sampling._neighbor import NeighborSampler
from g2rec.sampling._subgraph import SampledSubgraph

__all__ = ["NegativeSampler", "NegativeSamplerConfig", "Negatives", "NeighborSampler", "SampledSubgraph"]
