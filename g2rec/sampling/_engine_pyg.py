"""The neighbour sampler of PyG behind our interface."""

import importlib
from collections.abc import Sequence

import numpy as np
import torch

from g2rec.errors import ConfigError
from g2rec.graph import InteractionGraph
from g2rec.sampling._engine import Drawn, PeerSampler
from g2rec.shapes import Tensor


class PyGNeighborSampler(PeerSampler):
    """Neighbours drawn by PyG's compiled operator: of pyg-lib if it is installed, else of torch-sparse.

    It is what PyG's ``NeighborLoader`` calls. Arguments as for `NeighborSampler`; times and excluded edges
    are refused. The operator needs 64-bit neighbours, so the graph's are copied, at 8 bytes an edge. The key
    decides what is drawn; calls from several threads take turns, because the operator draws from torch's
    global generator, which is set for the call and put back.

    Without replacement torch-sparse 0.6.18 is not uniform (https://github.com/rusty1s/pytorch_sparse/issues/385):
    of a row longer than the fan-out k, the last k neighbours, here the newest, come less often.

    Raises:
        ConfigError: If neither library is installed, or a fan-out is below -1.
    """

    library = "PyG"

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
        super().__init__(graph, fanouts, replace=replace, edge_ids=edge_ids, degrees=degrees, seed=seed)
        self._operator = _operator()
        self._indptr = torch.from_numpy(np.array(graph.indptr))
        self._indices = torch.from_numpy(graph.indices.astype(np.int64))

    def _draw(self, seeds: Tensor, random_seed: int) -> Drawn:
        state = torch.random.get_rng_state()
        torch.default_generator.manual_seed(random_seed)
        try:
            graph, fanouts = (self._indptr, self._indices, seeds), list(self.fanouts)
            if self._operator == "pyg-lib":
                row, col, nodes, ids = torch.ops.pyg.neighbor_sample(
                    *graph, fanouts, csc=True, replace=self.replace, return_edge_id=self.edge_ids
                )[:4]
            else:
                nodes, row, col, ids = torch.ops.torch_sparse.neighbor_sample(
                    *graph, fanouts, self.replace, True
                )
        finally:
            torch.random.set_rng_state(state)
        # Hops are not marked: edges run by target, and a hop's targets are the nodes that the last one found.
        nodes_per_hop, edges_per_hop = [len(seeds)], [0]
        for _ in self.fanouts:
            last = int(torch.searchsorted(col, nodes_per_hop[-1]))
            found = row[edges_per_hop[-1] : last]
            nodes_per_hop.append(max(nodes_per_hop[-1], int(found.max()) + 1 if len(found) else 0))
            edges_per_hop.append(last)
        return Drawn(nodes, torch.stack((row, col)), nodes_per_hop, edges_per_hop[1:], ids)


def _operator() -> str:
    """The library whose operator there is."""
    for name, module in (("pyg-lib", "pyg_lib"), ("torch-sparse", "torch_sparse")):
        try:
            importlib.import_module(module)
        except (ImportError, OSError):
            continue
        return name
    raise ConfigError(
        "the engine of PyG needs pyg-lib or torch-sparse, and neither can be imported; "
        "pip install torch-sparse, with --no-build-isolation where it must be built"
    )
