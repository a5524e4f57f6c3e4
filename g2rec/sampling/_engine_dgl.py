"""The neighbour sampler of DGL behind our interface."""

from collections.abc import Sequence

import torch

from g2rec.graph import InteractionGraph, to_dgl
from g2rec.sampling._engine import Drawn, PeerSampler
from g2rec.shapes import Tensor


class DGLNeighborSampler(PeerSampler):
    """Neighbours drawn by DGL 1.1.3: ``dgl.sampling.sample_neighbors``, numbered by ``dgl.to_block``.

    It is DGL's own ``NeighborSampler``, but that every node is expanded once: DGL draws anew for the seeds in
    every hop. Arguments as for `NeighborSampler`; times and excluded edges are refused. The graph is copied
    into DGL's CSC form, in 32-bit ids where they suffice. The key decides what is drawn for calls from one
    thread, given ``OMP_NUM_THREADS``: DGL has a generator for each thread, which is left set to the key.
    Calls from several threads take turns.

    Raises:
        ConfigError: If DGL is not installed, or a fan-out is below -1.
    """

    library = "DGL"

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
        self._idtype = torch.int32 if graph.num_edges < 2**31 else torch.int64
        bare = InteractionGraph(graph.num_users, graph.num_items, graph.indptr, graph.indices, None)
        self._graph = to_dgl(bare, hetero=False, idtype=self._idtype)

    def _draw(self, seeds: Tensor, random_seed: int) -> Drawn:
        import dgl

        dgl.seed(random_seed)
        known = new = seeds.to(self._idtype)
        pairs, ids = [], []
        nodes_per_hop, edges_per_hop = [len(seeds)], [0]
        for fanout in self.fanouts:
            near = dgl.sampling.sample_neighbors(self._graph, new, fanout, replace=self.replace)
            block = dgl.to_block(near, known)
            pairs.append(torch.stack(block.edges()))
            if self.edge_ids:
                ids.append(near.edata[dgl.EID][block.edata[dgl.EID].long()].long())
            found = block.srcdata[dgl.NID]
            known, new = found, found[len(known) :]
            nodes_per_hop.append(len(known))
            edges_per_hop.append(edges_per_hop[-1] + block.num_edges())
        return Drawn(
            nodes=known.long(),
            edge_index=torch.cat(pairs, 1).long(),
            nodes_per_hop=nodes_per_hop,
            edges_per_hop=edges_per_hop[1:],
            edge_ids=torch.cat(ids) if self.edge_ids else None,
        )
