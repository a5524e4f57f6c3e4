"""Our samplers under PyG's loaders: any PyG model works on the graph in place."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    HeteroSamplerOutput,
    NegativeSampling,
    NodeSamplerInput,
    SamplerOutput,
)
from torch_geometric.sampler.neighbor_sampler import edge_sample, node_sample

from g2rec.errors import ConfigError, DataError
from g2rec.graph import TO_ITEM, TO_USER, InteractionGraph
from g2rec.sampling._protocol import Sampler
from g2rec.sampling._subgraph import SampledSubgraph
from g2rec.sampling._walks import PinSageSampler
from g2rec.shapes import Tensor


class G2RecSampler(BaseSampler):  # type: ignore[misc]
    """A sampler for PyG's ``NodeLoader`` and ``LinkLoader`` that reads our graph where it is.

    The loaders take it with `g2rec.graph.pyg_data`, which holds no edges, so that a graph larger than memory
    stays mapped; forked workers share its pages::

        sampler = G2RecSampler(NeighborSampler(graph, (10, 5), edge_ids=True))
        loader = NodeLoader(pyg_data(graph), sampler, "user", batch_size=1024)

    With a ``HeteroData`` the outputs have the node and edge types of `g2rec.graph.to_pyg`; with a ``Data``
    (``pyg_data(graph, hetero=False)``) one type, where item i is node num_users + i. Rows are sources
    (neighbours), columns targets. What differs from PyG's own sampler:

    - Fan-outs are per node; a node has neighbours of one type only, so that is the same as per edge type.
    - Edges between the two ends of a positive seed edge are not sampled, in either direction: otherwise a
      model finds its target among its inputs. PyG leaves that to the user.
    - Seeds with times see edges strictly before their time (PyG: up to it), which hides the target edge, so
      that earlier events of the same pair may be seen. As in PyG, every seed then has a subtree of its own.

    ``e_id`` is there if the sampler gives edge positions: of a ``Data``, the position in ``graph.indices``
    (``graph.times``, ``graph.weights``); of a ``HeteroData``, the number among its edge type in `to_pyg`:
    that position, less the number of events for (user, engages, item).

    Neighbours and negatives come from torch's global generator, as in PyG: each call draws anew, and
    ``torch.manual_seed`` repeats a run with the same number of workers. Threads beat workers, which copy each
    batch: ``for batch in prefetch(loader, torch.randperm(num_seeds).split(1024))`` (their order is not
    repeated, so neither are their draws).

    Args:
        sampler: Any sampler with a ``graph``, except random walks.
        key: Draw the neighbours of this key in every call, whatever the workers and batches: for evaluation.

    Raises:
        ConfigError: If the sampler is of random walks.
    """

    def __init__(self, sampler: Sampler, *, key: tuple[int, int] | None = None) -> None:
        if isinstance(sampler, PinSageSampler):
            raise ConfigError(
                "PyG's loaders need a sampler of the graph's own edges, got one of random walks, whose edges "
                "are others; use NeighborSampler"
            )
        self.sampler, self.key = sampler, key
        self.graph: InteractionGraph = sampler.graph  # type: ignore[attr-defined]
        self._first = {None: 0, "user": 0, "item": self.graph.num_users}
        self._count = {
            None: self.graph.num_nodes,
            "user": self.graph.num_users,
            "item": self.graph.num_items,
        }

    def sample_from_nodes(
        self, index: NodeSamplerInput, **kwargs: Any
    ) -> SamplerOutput | HeteroSamplerOutput:
        """Sample around nodes; of a batch's nodes the first are the seeds, in their order.

        Raises:
            DataError: If a seed is not a node, or times are asked of a graph that has none.
        """
        return node_sample(index, self._sample)

    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None
    ) -> SamplerOutput | HeteroSamplerOutput:
        """Sample around both ends of edges, and of negatives, binary or triplet.

        Negatives are uniform over the nodes of a type; of a ``Data``, over all nodes, so give
        ``dst_weight`` or take the ``HeteroData``.

        Raises:
            DataError: As in `sample_from_nodes`.
        """
        exclude = None
        if index.time is None:
            source, _, target = index.input_type or (None, None, None)
            exclude = self._nodes(source, index.row), self._nodes(target, index.col)
        counts = self._count[None] if index.input_type is None else self._count
        sample = partial(self._sample, exclude=exclude)
        return edge_sample(index, sample, counts, index.time is not None, None, neg_sampling)

    @property
    def edge_permutation(self) -> None:
        """None: ``e_id`` counts the edges as the graph has them."""
        return None

    def _nodes(self, kind: str | None, index: Tensor) -> Tensor:
        """Nodes of the graph from indices of a type."""
        if kind not in self._count:
            raise DataError(f"node types are user and item, got {kind}; build the data with pyg_data")
        size = self._count[kind]
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < size:
            found = (
                f"seeds of type {kind or 'node'} must lie in [0, {size}), got {index.min()} to {index.max()}"
            )
            raise DataError(f"{found}; " + ("count each type from 0" if kind else "item i is num_users + i"))
        nodes: Tensor = index.long() + self._first[kind]
        return nodes

    def _sample(
        self,
        seed: Tensor | dict[str, Tensor],
        seed_time: Tensor | dict[str, Tensor] | None = None,
        exclude: tuple[Tensor, Tensor] | None = None,
    ) -> SamplerOutput | HeteroSamplerOutput:
        parts = list(seed.items()) if isinstance(seed, dict) else [(None, seed)]
        seeds = torch.cat([self._nodes(kind, index) for kind, index in parts])
        times = torch.cat(list(seed_time.values())) if isinstance(seed_time, dict) else seed_time
        key = self.key
        if key is None:
            epoch, step = torch.randint(2**31 - 1, (2,)).tolist()
            key = epoch, step
        sub = self.sampler.sample(seeds, key=key, times=times, exclude=exclude)
        if sub.num_seeds < len(seeds):
            sub = _repeat_seeds(sub)
        trees = None if times is None else _trees(sub)
        return _typed(sub, trees, self.graph) if isinstance(seed, dict) else _plain(sub, trees)


def _plain(sub: SampledSubgraph, trees: Tensor | None) -> SamplerOutput:
    source, target = sub.edge_index
    return SamplerOutput(
        node=sub.nodes,
        row=source,
        col=target,
        edge=sub.edge_ids,
        batch=trees,
        num_sampled_nodes=_steps((0, *sub.nodes_per_hop)),
        num_sampled_edges=_steps((0, *sub.edges_per_hop)),
    )


def _typed(sub: SampledSubgraph, trees: Tensor | None, graph: InteractionGraph) -> HeteroSamplerOutput:
    """Nodes and edges parted by type; within a type they keep their order."""
    is_item = sub.nodes >= graph.num_users
    items = torch.cumsum(is_item, 0)
    local = torch.where(is_item, items - 1, torch.arange(len(items), device=items.device) - items)
    to_item = is_item.index_select(0, sub.edge_index[1])
    source, target = (local.index_select(0, end) for end in sub.edge_index)
    out = HeteroSamplerOutput({}, {}, {}, {}, None if trees is None else {}, {}, {})
    users_and_items = _parted(is_item, (0, *sub.nodes_per_hop))
    for kind, first, (at, counts) in zip(
        ("user", "item"), (0, graph.num_users), users_and_items, strict=True
    ):
        out.node[kind] = sub.nodes.index_select(0, at) - first
        out.num_sampled_nodes[kind] = counts
        if trees is not None:
            out.batch[kind] = trees.index_select(0, at)
    by_target = _parted(to_item, (0, *sub.edges_per_hop))
    for kinds, first, (at, counts) in zip(
        (TO_USER, TO_ITEM), (0, graph.num_edges // 2), by_target, strict=True
    ):
        out.row[kinds], out.col[kinds] = source.index_select(0, at), target.index_select(0, at)
        out.edge[kinds] = None if sub.edge_ids is None else sub.edge_ids.index_select(0, at) - first
        out.num_sampled_edges[kinds] = counts
    return out


def _parted(mask: Tensor, bounds: Sequence[int]) -> tuple[tuple[Tensor, list[int]], tuple[Tensor, list[int]]]:
    """Positions where the mask is false, and where it is true, each with how many are in each hop.

    Around seeds of one type all of a hop is of one type, which spares the search.
    """
    none = mask.new_empty(0, dtype=torch.int64)
    found: tuple[list[Tensor], list[Tensor]] = ([none], [none])
    counts: tuple[list[int], list[int]] = ([], [])
    for first, last in itertools.pairwise(bounds):
        hop = mask[first:last]
        true = int(hop.sum())
        for side, count in enumerate((last - first - true, true)):
            counts[side].append(count)
            if count == last - first:
                found[side].append(torch.arange(first, last, device=mask.device))
            elif count:
                found[side].append(torch.nonzero(hop == bool(side)).flatten() + first)
    return (torch.cat(found[0]), counts[0]), (torch.cat(found[1]), counts[1])


def _steps(running: Sequence[int]) -> list[int]:
    """Differences of running sums."""
    return [after - before for before, after in itertools.pairwise(running)]


def _trees(sub: SampledSubgraph) -> Tensor:
    """The number of the seed to whose subtree each node belongs: a neighbour is in its target's."""
    trees = torch.empty_like(sub.nodes)
    trees[: sub.num_seeds] = torch.arange(sub.num_seeds, device=trees.device)
    first = 0
    for last in sub.edges_per_hop:
        source, target = sub.edge_index[:, first:last]
        trees[source] = trees.index_select(0, target)
        first = last
    return trees


def _repeat_seeds(sub: SampledSubgraph) -> SampledSubgraph:
    """The subgraph with a node for every seed asked for, as PyG has it; a copy receives the same edges."""
    index, added = sub.seed_index, len(sub.seed_index) - sub.num_seeds
    place = torch.arange(len(sub.nodes), device=index.device) + added
    asked = torch.arange(len(index), device=index.device)
    place.scatter_reduce_(0, index, asked, "amin", include_self=False)  # the first of equal seeds
    copies = torch.nonzero(place[index] != asked).flatten()
    near = sub.edges_per_hop[0]
    target = sub.edge_index[1, :near]
    by_target = torch.argsort(target, stable=True)
    count = torch.bincount(target, minlength=sub.num_seeds)
    begin, wanted = torch.cumsum(count, 0) - count, count[index[copies]]
    within = torch.arange(int(wanted.sum()), device=index.device)
    within -= torch.repeat_interleave(torch.cumsum(wanted, 0) - wanted, wanted)
    again = by_target[torch.repeat_interleave(begin[index[copies]], wanted) + within]
    order = torch.cat((torch.arange(near, device=again.device), again))
    order = torch.cat((order, torch.arange(near, sub.edge_index.shape[1], device=again.device)))
    edge_index = place[sub.edge_index[:, order]]
    edge_index[1, near : near + len(again)] = torch.repeat_interleave(copies, wanted)
    return SampledSubgraph(
        nodes=torch.cat((sub.nodes[index], sub.nodes[sub.num_seeds :])),
        num_seeds=len(index),
        nodes_per_hop=tuple(n + added for n in sub.nodes_per_hop),
        edge_index=edge_index,
        edges_per_hop=tuple(e + len(again) for e in sub.edges_per_hop),
        seed_index=torch.arange(len(index), device=index.device),
        degrees=sub.degrees[:0],
        edge_ids=None if sub.edge_ids is None else sub.edge_ids[order],
    )
