"""Neighbour sampling that depends on its key and not on threads, and negative items."""

from typing import TYPE_CHECKING, Any

from g2rec.sampling._aggregate import sum_neighbors
from g2rec.sampling._device import DeviceSampler
from g2rec.sampling._device_graph import DeviceGraph
from g2rec.sampling._engine_dgl import DGLNeighborSampler
from g2rec.sampling._engine_pyg import PyGNeighborSampler
from g2rec.sampling._negatives import Negatives, NegativeSampler, NegativeSamplerConfig
from g2rec.sampling._neighbor import NeighborSampler
from g2rec.sampling._prefetch import prefetch
from g2rec.sampling._protocol import Sampler
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.sampling._walks import PinSageSampler

if TYPE_CHECKING:
    from g2rec.sampling._pyg import G2RecSampler

__all__ = [
    "DGLNeighborSampler",
    "DeviceGraph",
    "DeviceSampler",
    "G2RecSampler",
    "NegativeSampler",
    "NegativeSamplerConfig",
    "Negatives",
    "NeighborSampler",
    "PinSageSampler",
    "PyGNeighborSampler",
    "SampledSubgraph",
    "Sampler",
    "prefetch",
    "sum_neighbors",
]


def __getattr__(name: str) -> Any:
    """Its base class is PyG's, which takes a second to import: only when asked for."""
    if name == "G2RecSampler":
        from g2rec.sampling._pyg import G2RecSampler

        return G2RecSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
