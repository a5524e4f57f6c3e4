"""What every sampling engine offers."""

from typing import Protocol

from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.shapes import Int, Tensor


class Sampler(Protocol):
    """Samples around seeds: the CPU engine, the GPU engine, random walks, and the engines of PyG and DGL."""

    fanouts: tuple[int, ...]

    def sample(
        self,
        seeds: Int[Tensor, " S"],
        *,
        key: tuple[int, int] = (0, 0),
        times: Int[Tensor, " S"] | None = None,
        exclude: tuple[Tensor, Tensor] | None = None,
    ) -> SampledSubgraph:
        """Sample around seeds; see `NeighborSampler.sample`."""
