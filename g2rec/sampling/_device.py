"""Neighbour sampling on the GPU, with the graph in its memory."""

import logging
from collections.abc import Sequence
from typing import Any

import torch

from g2rec.graph import InteractionGraph
from g2rec.sampling._device_graph import DeviceGraph
from g2rec.sampling._device_torch import Chooser, Excluded, sample
from g2rec.sampling._neighbor import check_fanouts, check_seeds, check_times
from g2rec.sampling._random import hop_key
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.shapes import Int, Tensor

logger = logging.getLogger(__name__)


class DeviceSampler:
    """Samples neighbours hop by hop where the graph is: the GPU's counterpart of `NeighborSampler`.

    The random numbers are those of the CPU engine, so both draw the same neighbours for the same key; only
    with excluded pairs may the draws differ, and then their distribution is the same. New nodes of a hop are
    numbered in rising order (the CPU numbers them as they are found), which also makes feature look-ups
    orderly. Results are tensors on the device.

    Uniform sampling with fan-outs up to 32 runs in fused kernels (`_device_fused`), recorded once for each
    number of seeds and replayed as one CUDA graph, with one wait of the host a batch, to learn its sizes.
    Times, excluded pairs and larger fan-outs take torch operations, which are slower, and so does everything
    where there is no CUDA device or no Triton. Calls from several threads are safe; batches take turns.

    Args:
        graph: The graph; one that is not on the device yet is copied there.
        fanouts: Neighbours drawn per node in each hop; -1 takes all.
        replace: Draw with replacement; then a node with neighbours gets exactly its fan-out.
        degrees: Also give the degree of every node; without it, `SampledSubgraph.degrees` is empty.
        seed: Part of every random number.
        device: Where to copy a graph that is not on a device; the GPU if there is one, else the CPU.
        fused: Use the fused kernels where they apply.

    Raises:
        ConfigError: If there is no fan-out, or one below -1.
        DataError: If the graph fits neither on the device nor in page-locked host memory.
    """

    def __init__(
        self,
        graph: InteractionGraph | DeviceGraph,
        fanouts: Sequence[int] = (10, 5),
        *,
        replace: bool = False,
        degrees: bool = True,
        seed: int = 0,
        device: torch.device | str | None = None,
        fused: bool = True,
    ) -> None:
        self.fanouts, self.replace, self.degrees, self.seed = check_fanouts(fanouts), replace, degrees, seed
        self.graph = graph if isinstance(graph, DeviceGraph) else DeviceGraph.from_graph(graph, device)
        self._fused: Any = None
        self._choose: Chooser | None = None
        if fused and self.graph.device.type == "cuda":
            try:
                from g2rec.sampling._device_fused import FusedSampler, choose
            except ImportError as error:
                logger.warning("no Triton (%s): sampling in torch operations", error)
            else:
                if self.graph.max_degree < 2**31:
                    self._choose = choose
                if FusedSampler.applies(self.graph, self.fanouts):
                    self._fused = FusedSampler(self.graph, self.fanouts, replace=replace, degrees=degrees)

    def sample(
        self,
        seeds: Int[Tensor, " S"],
        *,
        key: tuple[int, int] = (0, 0),
        times: Int[Tensor, " S"] | None = None,
        exclude: tuple[Tensor, Tensor] | None = None,
    ) -> SampledSubgraph:
        """Sample around seeds, on any device; arguments and errors as for `NeighborSampler.sample`."""
        keys = [hop_key(self.seed, key, hop) for hop in range(len(self.fanouts))]
        plain = times is None and (exclude is None or len(exclude[0]) == 0)
        if self._fused is not None and plain and len(seeds):
            found: SampledSubgraph | None = self._fused.sample(seeds, keys)
            if found is not None:
                return found
        device = self.graph.device
        nodes = torch.from_numpy(check_seeds(seeds, self.graph.num_nodes)).to(device)
        cuts = None
        if times is not None:
            cuts = torch.from_numpy(check_times(times, len(nodes), self.graph.times is not None)).to(device)
        excluded = None if exclude is None or len(exclude[0]) == 0 else Excluded(exclude, device)
        return sample(
            self.graph, self.fanouts, self.replace, self.degrees, nodes, cuts, excluded, keys, self._choose
        )
