"""Neighbour sampling that depends on its key and not on threads, and negative items."""

from g2rec.sampling._negatives import Negatives, NegativeSampler, NegativeSamplerConfig
from g2rec.sampling._neighbor import NeighborSampler
from g2rec.sampling._prefetch import prefetch
from g2rec.sampling._protocol import Sampler
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.sampling._walks import PinSageSampler

__all__ = [
    "NegativeSampler",
    "NegativeSamplerConfig",
    "Negatives",
    "NeighborSampler",
    "PinSageSampler",
    "SampledSubgraph",
    "Sampler",
    "prefetch",
]
